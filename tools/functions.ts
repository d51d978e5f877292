/** Counts lines: of files and of the functions in them. What `pnpm size` prints and the law of sizes holds to. */
import { readFileSync } from "node:fs";
import ts from "typescript";
import { parse } from "./workspace.ts";

/** The budgets of DESIGN section 2, law 8. `functionCeiling` is what a test refuses; `functionLines` is what to aim at. */
export const budgets = { fileLines: 350, medianLines: 100, shaderLines: 250, functionLines: 40, functionCeiling: 60 };

/** A function and how many lines it takes. */
export interface FunctionSize {
  readonly name: string;
  /** Its first line in the file, from 1. */
  readonly line: number;
  readonly lines: number;
}

/** The number of lines of a file; a newline at the end begins no further one. */
export function lineCount(path: string): number {
  return readFileSync(path, "utf8").trimEnd().split("\n").length;
}

/** Every function of a TypeScript file; what is nested inside another counts for itself as well. */
export function functionSizes(path: string): FunctionSize[] {
  const file = parse(path);
  const found: FunctionSize[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && "body" in node && node.body) {
      const first = file.getLineAndCharacterOfPosition(node.getStart(file)).line;
      const last = file.getLineAndCharacterOfPosition(node.end).line;
      found.push({ name: nameOf(node, file), line: first + 1, lines: last - first + 1 });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

function nameOf(node: ts.SignatureDeclaration | ts.Node, file: ts.SourceFile): string {
  if (ts.isConstructorDeclaration(node)) return "constructor";
  if ("name" in node && node.name) return (node.name as ts.Node).getText(file);
  const { parent } = node;
  return "name" in parent && parent.name ? (parent.name as ts.Node).getText(file) : "(anonymous)";
}

/** The value below which a share of the sorted numbers lies; 0 for none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
