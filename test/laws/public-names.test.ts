/** What is public is on record: a name that appears or goes is seen in review. Renew with `npm test -- test/laws/public-names -u`. */
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { entryPoints, hasContent, packages, root, scope } from "../../tools/workspace.ts";

const withContent = packages.filter(hasContent);
const entries = withContent.map((member) => [member.short, entryPoints(member)] as const);
const program = ts.createProgram(
  entries.flatMap(([, paths]) => [...paths.values()]),
  { ...baseOptions(), noEmit: true, skipLibCheck: true, types: ["node"], typeRoots: [`${root}/node_modules/@types`] },
);
const checker = program.getTypeChecker();

describe.each(entries)("%s", (short, paths) => {
  test("exports the names on record", async () => {
    const lists = [...paths].map(([specifier, path]) => `${specifier}\n${publicNames(path).join("\n")}\n`);
    await expect(lists.join("\n")).toMatchFileSnapshot(`./public-names/${short}.txt`);
  });
});

/** The exported names of a module, sorted, each said to be a type where it is nothing but that. */
function publicNames(path: string): string[] {
  const file = program.getSourceFile(path);
  const symbol = file && checker.getSymbolAtLocation(file);
  if (!symbol) return [];
  return checker
    .getExportsOfModule(symbol)
    .map((name) => {
      const target = name.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(name) : name;
      return `  ${name.name}${target.flags & ts.SymbolFlags.Value ? "" : " (type)"}`;
    })
    .sort();
}

function baseOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(`${root}/tsconfig.base.json`, ts.sys.readFile);
  const options = ts.convertCompilerOptionsFromJson(config.compilerOptions, root).options;
  expect(options.customConditions).toEqual([`${scope}/source`]);
  return options;
}
