import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

test("types catch the misuse that types.test-d.ts lists, and nothing else", () => {
  const { config } = ts.readConfigFile(here("../../../tsconfig.base.json"), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, here("../../../"));
  const program = ts.createProgram([here("types.test-d.ts")], { ...options, noEmit: true });
  const file = program.getSourceFile(here("types.test-d.ts"));
  expect(file).toBeDefined();
  const diagnostics = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
  const lines = diagnostics.map(
    ({ messageText, start }) =>
      `line ${file!.getLineAndCharacterOfPosition(start ?? 0).line + 1}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`,
  );
  expect(lines).toEqual([]);
});
