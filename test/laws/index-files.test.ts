/** Index files only re-export, so that what is public can be read at a glance, and every definition has a file of its own. */
import { basename } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { packages, parse, shown, sources } from "../../tools/workspace.ts";

const indexes = packages.flatMap(sources).filter((path) => basename(path) === "index.ts");

test.each(indexes.map((path) => [shown(path), path] as const))("%s", (_, path) => {
  const other = parse(path).statements.filter((statement) => {
    if (!ts.isExportDeclaration(statement)) return true;
    const nothing = statement.exportClause && ts.isNamedExports(statement.exportClause) && statement.exportClause.elements.length === 0;
    return !statement.moduleSpecifier && !nothing;
  });
  expect(other.map((statement) => statement.getText().split("\n")[0])).toEqual([]);
});
