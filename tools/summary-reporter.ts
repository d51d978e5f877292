import type { Reporter, TestModule, TestRunEndReason } from "vitest/node";

/** Says loudly what was skipped and why, and ends the whole output with one line: "N passed, N failed". */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[], reason: TestRunEndReason): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string) => tests.filter((test) => test.result().state === state).length;
    // A file that does not load, a broken hook and an error outside any test have no failing test of their own, but are failures all the same.
    const suites = modules.flatMap((module) => [module, ...module.children.allSuites()]);
    const broken = suites.filter((suite) => suite.errors().length > 0).length;
    const failed = count("failed") + broken + unhandled.length;
    const skipped = count("skipped");
    const notes = tests.flatMap((test) => {
      const result = test.result();
      // Tests that never ran because a hook failed are no decision of anyone; the hook is among the failures.
      return result.state === "skipped" && (result.note || test.options.mode === "skip")
        ? [`SKIPPED ${test.fullName}${result.note ? `: ${result.note}` : ""}`]
        : [];
    });
    const silentFailure = failed === 0 && reason !== "passed" ? 1 : 0;
    const line = `${count("passed")} passed, ${failed + silentFailure} failed${skipped ? `, ${skipped} skipped` : ""}`;
    process.once("exit", () => process.stdout.write(`${notes.map((note) => `${note}\n`).join("")}\n${line}\n`));
  }
}
