import { describe, expect, test } from "vitest";
import { type AttentionWorkload, attentionWorks, scoresBytes, seriesOf } from "../src/attention-works.ts";
import { curveLines, curvesOf, logLogSlope } from "../src/curves.ts";
import { groups } from "../src/groups.ts";
import { byHead, byToken } from "../src/heads.ts";
import { leftOut } from "../src/measure.ts";
import { plotSvg, scale } from "../src/plot.ts";
import { type CaseResult, summarise } from "../src/results.ts";
import { flops, inputs, workloadNamed } from "../src/workloads.ts";

const GiB = 2 ** 30;

/** A case of ours: `name`, its time in milliseconds and its memory in GiB. */
function caseOf(name: string, ms: number, memory: number, competitor = "ours"): CaseResult {
  const work = workloadNamed(name);
  const held = competitor === "ours" ? { peakBytes: memory * GiB } : { processBytes: memory * GiB };
  const entries = [summarise(competitor, work, [{ samples: [ms], ...held }])];
  return { group: "attention-cpu", work, threads: 1, tolerance: 0, entries, absent: {}, ratios: {} };
}

describe("the slope of time against length", () => {
  test("is the exponent, whatever the factor", () => {
    expect(logLogSlope([256, 512, 1024], [3 * 256, 3 * 512, 3 * 1024])).toBeCloseTo(1, 12);
    expect(
      logLogSlope(
        [256, 512, 4096],
        [256, 512, 4096].map((n) => 7 * n ** 2),
      ),
    ).toBeCloseTo(2, 12);
  });

  test("is that of least squares where points lie off the line", () => {
    // ln x = 0, 1, 2 and ln y = 0, 2, 1.
    expect(logLogSlope([1, Math.E, Math.E ** 2], [1, Math.E ** 2, Math.E])).toBeCloseTo(0.5, 12);
  });

  test("is unknown of one point", () => {
    expect(logLogSlope([256], [3])).toBeUndefined();
  });
});

describe("curves", () => {
  const cases = [
    caseOf("dense-forward-4096", 400, 0.1),
    caseOf("dense-forward-8192", 1600, 0.2),
    caseOf("longformer-forward-4096", 100, 0.1),
    caseOf("longformer-forward-8192", 200, 0.2),
    caseOf("longformer-forward-131072", 9e9, 4),
    caseOf("causal-training-256", 9e9, 9),
    caseOf("causal-training-1024", 10, 1),
    caseOf("causal-training-2048", 40, 2),
    caseOf("causal-training-1024", 20, 1, "jax-js"),
    caseOf("decode-paged-4096", 1, 1),
  ];
  const curves = curvesOf(cases);
  const curve = (label: string) => curves.find((each) => each.label === label)!;

  test("layers are compared with one another, of attention the libraries", () => {
    expect(curves.map(({ panel, label }) => [panel, label])).toEqual([
      ["layers, forward, CPU", "dense"],
      ["layers, forward, CPU", "longformer"],
      ["causal attention, forward and backward, CPU", "ours"],
      ["causal attention, forward and backward, CPU", "jax-js"],
    ]);
    expect(curve("longformer").tokens).toEqual([4096, 8192, 131_072]);
  });

  test("slopes leave out what is shorter or longer than they are asked for", () => {
    expect(curve("longformer").timeSlope).toBeCloseTo(1, 12);
    expect(curve("longformer").memorySlope).toBeCloseTo(1, 12);
    expect(curve("ours").timeSlope).toBeCloseTo(2, 12);
    expect(curve("jax-js").timeSlope).toBeUndefined();
  });

  test("memory is the device's where it tells, else the process's", () => {
    expect(curve("ours").memoryOf).toBe("device");
    expect(curve("jax-js").memoryOf).toBe("process");
    expect(curve("jax-js").memory).toEqual([1]);
  });

  test("a layer stands beside the dense one at the lengths of both", () => {
    expect(curve("longformer").overDense).toEqual({ 4096: 4, 8192: 8 });
    expect(curve("dense").overDense).toBeUndefined();
    expect(curveLines(curves)[1]).toContain(
      "length^1.00, memory of the device ~ length^1.00, from 4096 to 32768 tokens; dense takes times 4.00 at 4096",
    );
  });

  test("the picture has two charts for each panel, and a point for each figure", () => {
    const svg = plotSvg(curves);
    expect(svg.match(/<g transform/g)).toHaveLength(4);
    expect(svg.match(/<circle/g)).toHaveLength(2 * (2 + 3 + 3 + 1));
    expect(svg).toContain("longformer, device, slope 1.00");
    expect(svg).not.toMatch(/NaN|Infinity/);
  });
});

describe("an axis", () => {
  test("ends at whole powers around the values", () => {
    const { ticks, at } = scale([0.03, 200], 10, [0, 100]);
    expect(ticks).toEqual([0.01, 0.1, 1, 10, 100, 1000]);
    expect([at(0.01), at(1), at(1000)]).toEqual([0, 40, 100]);
  });

  test("of one value is one step wide", () => {
    expect(scale([1024], 2, [0, 10]).ticks).toEqual([1024, 2048]);
  });
});

describe("what is left out", () => {
  const cpu = groups["attention-cpu"];
  const work = (name: string) => workloadNamed(name);

  test("whoever holds all scores, where they are too many", () => {
    expect(scoresBytes(work("causal-forward-8192") as AttentionWorkload)).toBe(2 * GiB);
    expect(leftOut(work("causal-forward-8192"), "jax-js", cpu, undefined, 1)).toBeUndefined();
    expect(leftOut(work("causal-training-8192"), "jax-js", cpu, undefined, 1)).toBe(
      "left out: it holds all scores and their gradients, 4 GiB",
    );
    expect(leftOut(work("causal-training-16384"), "ours", cpu, undefined, 1)).toBeUndefined();
  });

  test("whoever would take too long, by the time at a shorter length", () => {
    const shorter = { tokens: 4096, ms: 1000 };
    expect(leftOut(work("dense-forward-8192"), "ours", cpu, shorter, 4000)).toBeUndefined();
    expect(leftOut(work("dense-forward-8192"), "ours", cpu, shorter, 3999)).toMatch(/would take 4.0 s, by its time at 4096 tokens/);
    expect(leftOut(work("longformer-forward-8192"), "ours", cpu, shorter, 2000)).toBeUndefined();
    expect(leftOut(work("decode-paged-4096"), "ours", cpu, { tokens: 4096, ms: 1e9 }, 1)).toBeUndefined();
  });
});

describe("the works", () => {
  test("a series has one work for each length", () => {
    const places = attentionWorks.flatMap((work) => seriesOf(work) ?? []).length;
    expect(new Set(attentionWorks.flatMap((work) => (seriesOf(work) ? [`${seriesOf(work)} ${work.tokens}`] : []))).size).toBe(places);
    expect(seriesOf(workloadNamed("longformer-forward-131072"))).toBe("longformer-forward");
    expect(seriesOf(workloadNamed("attention-1024-causal"))).toBeUndefined();
    expect(seriesOf(workloadNamed("blockmap-window-131072"))).toBeUndefined();
  });

  test("a backward pass is two and a half forward ones, and has an upstream gradient", () => {
    const [forward, training] = [workloadNamed("causal-forward-256"), workloadNamed("causal-training-256")];
    expect(flops(training)! / flops(forward)!).toBe(3.5);
    expect(Object.keys(inputs(forward, 1))).toEqual(["q", "k", "v"]);
    expect(inputs(training, 1).g).toHaveLength(8 * 256 * 64);
  });

  test("heads go behind tokens and back", () => {
    const sizes = { heads: 2, tokens: 3, width: 2 };
    const data = Float32Array.from({ length: 12 }, (_, i) => i);
    expect([...byToken(sizes, data)]).toEqual([0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]);
    expect(byHead(sizes, byToken(sizes, data))).toEqual(data);
  });
});
