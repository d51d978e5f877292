/** Every package runs in a browser: what needs Node stands in *.node.ts, behind a condition that a browser's bundler does not take. */
import { builtinModules } from "node:module";
import ts from "typescript";
import { expect, test } from "vitest";
import { importsOf, packages, parse, shown, sources } from "../../tools/workspace.ts";

const nodeOnly = (path: string) => path.endsWith(".node.ts");
const portable = packages.flatMap(sources).filter((path) => !nodeOnly(path));

test("only *.node.ts files import Node's modules", () => {
  const wrong = portable.flatMap((path) =>
    importsOf(path)
      .filter((specifier) => specifier.startsWith("node:") || builtinModules.includes(specifier))
      .map((specifier) => `${shown(path)} imports ${specifier}`),
  );
  expect(wrong).toEqual([]);
});

test("portable files reach a *.node.ts file only through a # specifier, whose conditions choose", () => {
  const wrong = portable.flatMap((path) =>
    importsOf(path)
      .filter(nodeOnly)
      .map((specifier) => `${shown(path)} imports ${specifier}`),
  );
  expect(wrong).toEqual([]);
});

test("portable files use no global that only Node has", () => {
  const globals = new Set(["process", "Buffer", "__dirname", "__filename", "setImmediate", "require"]);
  const wrong = portable.flatMap((path) => freeNames(path, globals).map((name) => `${shown(path)} uses ${name}`));
  expect(wrong).toEqual([]);
});

/** The names of a set that a file uses without declaring or importing them; properties do not count. */
function freeNames(path: string, names: ReadonlySet<string>): string[] {
  const declared = new Set<string>();
  const used = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && names.has(node.text)) {
      const { parent } = node;
      const isName = "name" in parent && parent.name === node;
      const isMember = ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent);
      if (!isName) used.add(node.text);
      else if (!isMember) declared.add(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(parse(path));
  return [...used].filter((name) => !declared.has(name));
}
