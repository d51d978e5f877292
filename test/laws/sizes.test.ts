/** Small files are read, large ones are searched. `pnpm size` prints the figures behind these limits. */
import { expect, test } from "vitest";
import { budgets, functionSizes, lineCount, quantile } from "../../tools/functions.ts";
import { filesUnder, root, shown, sources, workspaces, written } from "../../tools/workspace.ts";

const files = workspaces().flatMap(sources).filter(written);
const tools = filesUnder(`${root}/tools`, /\.(ts|mjs)$/);
const isShader = (path: string) => /\.(wgsl|cu|c|h)$|\.wgsl\.ts$/.test(path);
const shaders = workspaces()
  .flatMap(({ dir }) => filesUnder(dir, /\.(wgsl|cu|c|h|wgsl\.ts)$/))
  .filter((path) => written(path) && !path.includes("/fixtures/"));

test(`no source file is longer than ${budgets.fileLines} lines, because a longer one holds more than one thing`, () => {
  const long = [...files, ...tools].filter((path) => !isShader(path)).map((path) => [shown(path), lineCount(path)] as const);
  expect(long.filter(([, lines]) => lines > budgets.fileLines)).toEqual([]);
});

test(`no shader or C file is longer than ${budgets.shaderLines} lines, because nothing but eyes checks its indices`, () => {
  const long = shaders.map((path) => [shown(path), lineCount(path)] as const);
  expect(long.filter(([, lines]) => lines > budgets.shaderLines)).toEqual([]);
});

test(`the median file has under ${budgets.medianLines} lines, so that a newcomer reads most of them in a minute`, () => {
  expect(quantile(files.map(lineCount), 0.5)).toBeLessThan(budgets.medianLines);
});

test(`functions keep to about ${budgets.functionLines} lines; past ${budgets.functionCeiling} one is several`, () => {
  const long = [...files, ...tools].flatMap((path) =>
    functionSizes(path)
      .filter(({ lines }) => lines > budgets.functionCeiling)
      .map(({ name, line, lines }) => `${shown(path)}:${line} ${name} has ${lines} lines`),
  );
  expect(long).toEqual([]);
});
