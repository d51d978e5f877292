import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { fileSource, openSafetensors } from "@x/checkpoint";
import { compile, Parameter, type Tensor } from "@x/tensor";
import { compareArrays, type ParityCase, readParityModule } from "@x/testing";
import { describe, expect, test } from "vitest";
import * as schedules from "../src/index.ts";
import { adamW, lion, muon, type OptimizerRule, type Schedule, sgd } from "../src/index.ts";
import "./support.ts";

const folder = fileURLToPath(new URL("../../../fixtures", import.meta.url));
/** Options of the published optimizers and schedules; those a file lacks are absent. */
interface Options {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
  readonly momentum: number;
  readonly dampening: number;
  readonly nesterov: boolean;
  readonly ns_steps: number;
  readonly adjust_lr_fn: "original";
  readonly num_warmup_steps: number;
  readonly num_training_steps?: number;
  readonly num_stable_steps: number;
  readonly num_decay_steps: number;
  readonly num_cycles: number;
  readonly min_lr?: number;
  readonly min_lr_rate?: number;
  readonly min_lr_ratio?: number;
  readonly decay_type: "linear";
  readonly timescale: number;
}
const decay = () => true;

/** Our rule for an optimizer with the published one's options. */
const rules: Record<string, (options: Options) => OptimizerRule> = {
  adamw: ({ betas, eps, weight_decay }) => adamW({ ...defined({ betas, eps, weightDecay: weight_decay }), decay }),
  sgd: ({ momentum, dampening, nesterov, weight_decay }) =>
    sgd({ ...defined({ momentum, dampening, nesterov, weightDecay: weight_decay }), decay }),
  lion: ({ betas, weight_decay }) => lion({ ...defined({ betas, weightDecay: weight_decay }), decay }),
  muon: ({ momentum, nesterov, weight_decay, ns_steps, adjust_lr_fn }) =>
    muon(defined({ momentum, nesterov, weightDecay: weight_decay, steps: ns_steps, adjust: adjust_lr_fn })),
};
const defined = <T extends object>(options: T) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;

/** Takes a step for each entry of `grads`, compiled; returns what the file names. */
async function run(rule: OptimizerRule, { inputs, options }: ParityCase): Promise<Record<string, ArrayLike<number>>> {
  const [start, grads] = [inputs.get("start")!, inputs.get("grads")!];
  const parameter = new Parameter({ shape: start.shape, data: start.data });
  const optimizer = rule.init([["p", parameter]]);
  const body = ({ gradient, lr }: { gradient: Tensor; lr: Tensor }) => optimizer.update([gradient], { lr });
  const step = compile(body as never) as unknown as (args: object) => void;
  const size = start.data.length;
  const parameters: number[] = [];
  for (let t = 0; t < grads.shape[0]!; t++) {
    const data = grads.data.slice(t * size, (t + 1) * size) as Float32Array;
    step({ gradient: { shape: start.shape, data }, lr: (options.lr as number | undefined) ?? 1e-3 });
    parameters.push(...(await parameter.data()));
  }
  const states = await Promise.all(
    [...optimizer.states()].map(async ([name, cell]) => [name.replace(".p", ""), await cell.data()] as const),
  );
  return { parameters, parameters_float32: parameters, ...Object.fromEntries(states) };
}

for (const name of Object.keys(rules)) {
  const module = await readParityModule(`${folder}/layers`, name, (path) => openSafetensors(fileSource(path)));
  describe(`${name} agrees with ${module.reference}`, () => {
    test.each(module.cases.map((entry) => [entry.name, entry] as const))("%s", async (_, entry) => {
      const made = await run(rules[name]!(entry.options as unknown as Options), entry);
      expect(entry.expected.length).toBeGreaterThan(0);
      for (const { name: output, expected, ...tolerance } of entry.expected) {
        const comparison = compareArrays(made[output.replace("outputs.", "")]!, expected.data, {
          atol: tolerance.atol,
          rtol: tolerance.rtol,
          shape: expected.shape,
        });
        expect(comparison.pass, `${output}: ${comparison.report()}`).toBe(true);
      }
    });
  });
}

interface Published {
  readonly function: string;
  readonly options: Options;
  readonly lr: number;
  readonly rates: readonly number[];
}
const published = JSON.parse(await readFile(`${folder}/ops/schedules.json`, "utf8")) as { rtol: number; cases: Published[] };

/** Our schedule for a published one. */
function scheduleOf({ function: name, options: o, lr }: Published): Schedule {
  const common = { lr, warmup: o.num_warmup_steps, steps: o.num_training_steps ?? 0 };
  const minLr = o.min_lr_ratio !== undefined ? lr * o.min_lr_ratio : (o.min_lr ?? (o.min_lr_rate !== undefined ? lr * o.min_lr_rate : 0));
  const { num_stable_steps: stable, num_decay_steps: decaySteps } = o;
  // The library's warm-up before a stable phase starts at the least rate.
  if (name === "get_wsd_schedule")
    return schedules.wsdSchedule({ ...common, minLr, warmupFrom: minLr, stable, decay: decaySteps, shape: o.decay_type });
  if (name.startsWith("get_cosine")) return schedules.cosineSchedule({ ...common, minLr, ...defined({ cycles: o.num_cycles }) });
  if (name.startsWith("get_linear")) return schedules.linearSchedule(common);
  if (name.startsWith("get_constant")) return schedules.constantSchedule(common);
  return schedules.inverseSqrtSchedule({ ...common, ...defined({ timescale: o.timescale }) });
}

describe("schedules agree with transformers", () => {
  test.each(published.cases.map((entry) => [`${entry.function} ${JSON.stringify(entry.options)}`, entry] as const))("%s", (_, entry) => {
    const schedule = scheduleOf(entry);
    // Past the end a published cosine rises again; ours stays where it ended.
    const last = entry.options.num_training_steps ?? entry.rates.length - 1;
    for (const [step, expected] of entry.rates.entries()) {
      const rate = step <= last ? expected : entry.rates[last]!;
      expect(Math.abs(schedule(step) - rate), `step ${step}: ${schedule(step)}, expected ${rate}`).toBeLessThanOrEqual(
        published.rtol * Math.abs(rate) + 1e-18,
      );
    }
  });
});
