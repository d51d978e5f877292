/** `pnpm size`: the lengths of files and functions, and the gzipped sizes of bundles, against their budgets. Exits 1 when one is exceeded. */
import { bundleSize } from "./bundle-size.ts";
import { budgets, functionSizes, lineCount, quantile } from "./functions.ts";
import { entryPoints, filesUnder, packages, root, scope, shown, sources, workspaces, written } from "./workspace.ts";

/** Gzipped kilobytes (1,000 bytes) that a combination of packages may take, everything they export included. */
const bundles = [
  { name: "tensor", of: ["tensor"] },
  { name: "tensor + ops + nn", of: ["tensor", "ops", "nn"], budget: 60 },
];

const over: string[] = [];

function fileFigures(): void {
  console.log("Lines of source files (generated ones left out)");
  console.log(row("", "files", "median", "p90", "max", "total"));
  const every: string[] = [];
  for (const member of workspaces()) {
    const files = sources(member).filter(written);
    every.push(...files);
    console.log(row(member.short, ...figures(files)));
  }
  console.log(row("all", ...figures(every)));
  const median = quantile(every.map(lineCount), 0.5);
  if (median >= budgets.medianLines) over.push(`The median file has ${median} lines; the budget is under ${budgets.medianLines}.`);
  list("Files over their budget", tooLong(every, budgets.fileLines), true);
  const shaders = workspaces().flatMap(({ dir }) => filesUnder(dir, /\.(wgsl|cu|c|h|wgsl\.ts)$/).filter(written));
  list("Shaders and C files over their budget", tooLong(shaders, budgets.shaderLines), true);
  const functions = every.flatMap((path) => functionSizes(path).map((each) => ({ ...each, path })));
  const long = functions.filter(({ lines }) => lines > budgets.functionLines).sort((a, b) => b.lines - a.lines);
  list(
    `Functions over ${budgets.functionLines} lines`,
    long.map(({ path, name, line, lines }) => `${shown(path)}:${line} ${name} has ${lines} lines`),
    false,
  );
}

async function bundleFigures(): Promise<void> {
  console.log("\nBundles for a browser, minified");
  console.log(row("", "kB", "gzip kB", "budget"));
  for (const { name, of, budget } of bundles) {
    const { bytes, gzipped } = await bundleSize(reexport(of.map((short) => `${scope}/${short}`)), `${root}/packages/nn`);
    console.log(row(name, kb(bytes), kb(gzipped), budget ?? ""));
    if (budget && gzipped > budget * 1000) over.push(`${name} takes ${kb(gzipped)} kB gzipped; the budget is ${budget} kB.`);
  }
  console.log("\nEach package on its own, what it imports left out");
  console.log(row("", "kB", "gzip kB"));
  for (const member of packages) {
    const { dependencies, peerDependencies } = member.manifest;
    const others = Object.keys({ ...dependencies, ...peerDependencies }).flatMap((name) => [name, `${name}/*`]);
    const { bytes, gzipped } = await bundleSize(reexport([...entryPoints(member).values()]), member.dir, others);
    console.log(row(member.short, kb(bytes), kb(gzipped)));
  }
}

/** A program that uses everything its modules export. */
const reexport = (specifiers: readonly string[]) =>
  `${specifiers.map((name, at) => `import * as m${at} from ${JSON.stringify(name)};`).join("\n")}\nexport { ${specifiers.map((_, at) => `m${at}`).join(", ")} };`;

const figures = (files: readonly string[]) => {
  const lines = files.map(lineCount);
  return [files.length, quantile(lines, 0.5), quantile(lines, 0.9), quantile(lines, 1), lines.reduce((sum, each) => sum + each, 0)];
};

const tooLong = (files: readonly string[], budget: number) =>
  files.filter((path) => lineCount(path) > budget).map((path) => `${shown(path)} has ${lineCount(path)} lines; the budget is ${budget}.`);

function list(title: string, lines: readonly string[], counts: boolean): void {
  if (lines.length > 0) console.log(`\n${title}\n${lines.map((line) => `  ${line}`).join("\n")}`);
  if (counts) over.push(...lines);
}

const kb = (bytes: number) => (bytes / 1000).toFixed(1);
const row = (name: string, ...cells: readonly (string | number)[]) =>
  `  ${name.padEnd(20)}${cells.map((cell) => String(cell).padStart(9)).join("")}`;

fileFigures();
await bundleFigures();
if (over.length > 0) {
  console.error(`\nOver budget:\n${over.map((line) => `  ${line}`).join("\n")}`);
  process.exitCode = 1;
}
