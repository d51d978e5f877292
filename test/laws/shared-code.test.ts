/** Shared code asks for a declared property, never for a name: otherwise a plugin's op, device or layer could not be one of us. */
import ts from "typescript";
import { expect, test } from "vitest";
import { packages, parse, shown, sources } from "../../tools/workspace.ts";

/** Packages whose code serves every op, device or layer alike. */
const shared = ["tensor", "testing", "nn", "optim", "train", "checkpoint", "generate"];

const of = (...shorts: string[]) => packages.filter(({ short }) => shorts.includes(short)).flatMap(sources);

test("no op, device or layer is told by its name in shared code", () => {
  const names = new Set([...opNames(), ...layerNames(), "reference", "wasm", "native", "webgpu", "cuda"]);
  const wrong = of(...shared).flatMap((path) =>
    comparedStrings(path)
      .filter(({ text }) => names.has(text))
      .map(({ text, line }) => `${shown(path)}:${line} compares with "${text}"`),
  );
  expect(wrong).toEqual([]);
});

/** The names of the composite contracts: the literal after `name:` in each defineOp. */
function opNames(): string[] {
  return packages
    .filter(({ short }) => short !== "tensor")
    .flatMap(sources)
    .flatMap((path) => calls(path, "defineOp"))
    .flatMap(([first]) => (first && ts.isObjectLiteralExpression(first) ? [...first.properties] : []))
    .flatMap((property) =>
      ts.isPropertyAssignment(property) && property.name.getText() === "name" && ts.isStringLiteralLike(property.initializer)
        ? [property.initializer.text]
        : [],
    );
}

/** The names of classes that extend Module. */
function layerNames(): string[] {
  return packages.flatMap(sources).flatMap((path) => {
    const found: string[] = [];
    walk(parse(path), (node) => {
      if (ts.isClassDeclaration(node) && node.name && node.heritageClauses?.some((clause) => /\bextends\s+Module\b/.test(clause.getText())))
        found.push(node.name.text);
    });
    return found;
  });
}

/** Every string that a file compares something with: in a case, or by === and !==. */
function comparedStrings(path: string): { text: string; line: number }[] {
  const file = parse(path);
  const found: { text: string; line: number }[] = [];
  const equality = [ts.SyntaxKind.EqualsEqualsEqualsToken, ts.SyntaxKind.ExclamationEqualsEqualsToken];
  const keep = (node: ts.Node) => {
    if (ts.isStringLiteralLike(node)) found.push({ text: node.text, line: file.getLineAndCharacterOfPosition(node.pos).line + 1 });
  };
  walk(file, (node) => {
    if (ts.isCaseClause(node)) keep(node.expression);
    if (ts.isBinaryExpression(node) && equality.includes(node.operatorToken.kind)) [node.left, node.right].forEach(keep);
  });
  return found;
}

/** The arguments of every call of a function in a file. */
function calls(path: string, callee: string): (readonly ts.Expression[])[] {
  const found: (readonly ts.Expression[])[] = [];
  walk(parse(path), (node) => {
    if (ts.isCallExpression(node) && node.expression.getText() === callee) found.push(node.arguments);
  });
  return found;
}

function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}
