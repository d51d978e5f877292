import { expect, test } from "vitest";
import { Gate } from "../src/worker/gate.ts";

/** A run of `steps` steps, each of which writes its number to the log. */
async function train(gate: Gate, log: unknown[], steps: number): Promise<void> {
  for (let step = 1; step <= steps; step++) {
    await gate.pass();
    log.push(step);
    await new Promise((done) => setTimeout(done, 0));
  }
  await gate.open();
}

test("jobs have their turn between two steps, one after the other", async () => {
  const [gate, log]: [Gate, unknown[]] = [new Gate(), []];
  const slow = (name: string) => async () => {
    log.push(`${name} begins`);
    await new Promise((done) => setTimeout(done, 5));
    log.push(`${name} ends`);
  };
  const training = train(gate, log, 3);
  await Promise.all([gate.run(slow("a")), gate.run(slow("b")), training]);
  const jobs = log.filter((entry) => typeof entry === "string");
  expect(jobs).toEqual(["a begins", "a ends", "b begins", "b ends"]);
  expect(log.indexOf("b ends") - log.indexOf("a begins")).toBe(3);
});

test("a paused run waits, does jobs meanwhile, and goes on", async () => {
  const [gate, log]: [Gate, unknown[]] = [new Gate(), []];
  gate.pause();
  const training = train(gate, log, 2);
  expect(await gate.run(async () => log.length)).toBe(0);
  gate.resume();
  await training;
  expect(log).toEqual([1, 2]);
});

test("where nothing trains, a job runs at once; one that fails stops none of the others", async () => {
  const gate = new Gate();
  const failing = gate.run(async () => {
    throw new Error("no");
  });
  const next = gate.run(async () => "yes");
  await expect(failing).rejects.toThrow("no");
  expect(await next).toBe("yes");
});

test("jobs that wait when a run ends are done after it", async () => {
  const [gate, log]: [Gate, unknown[]] = [new Gate(), []];
  await gate.pass();
  const job = gate.run(async () => log.push("job"));
  await gate.open();
  await job;
  expect(log).toEqual(["job"]);
});
