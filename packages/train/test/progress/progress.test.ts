import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatDuration, formatLoss, formatSi } from "../../src/progress/format.ts";
import { lossCurve } from "../../src/progress/loss-curve.ts";
import { progress } from "../../src/progress/progress.ts";
import { hasColor } from "../../src/progress/terminal.ts";

/** Text without its colours. */
const uncoloured = (text: string) => ["2", "22", "36", "39"].reduce((rest, code) => rest.replaceAll(`\u001b[${code}m`, ""), text);

describe("formats", () => {
  test("durations", () => {
    const cases = [0, 7.6, 59.6, 65, 3599.6, 7380, 86_399, 273_600, -1, Number.NaN, Number.POSITIVE_INFINITY];
    expect(cases.map(formatDuration)).toEqual(["0s", "8s", "1m 00s", "1m 05s", "1h 00m", "2h 03m", "1d 00h", "3d 04h", "-", "-", "-"]);
  });

  test("SI numbers", () => {
    const cases = [0, 7, 7.25, 12.34, 950, 999.6, 1234, 45_600, 99_990, 999_999, 1.2e12, -1500, Number.NaN];
    expect(cases.map(formatSi)).toEqual([
      "0",
      "7",
      "7.25",
      "12.3",
      "950",
      "1.00k",
      "1.23k",
      "45.6k",
      "100k",
      "1.00M",
      "1.20T",
      "-1.50k",
      "NaN",
    ]);
    fc.assert(
      fc.property(fc.double({ min: 1e-2, max: 9e17, noNaN: true }), (value) => void expect(formatSi(value).length).toBeLessThanOrEqual(5)),
    );
  });

  test("losses", () => {
    expect([1.88, 123_456, Number.NaN, Number.POSITIVE_INFINITY].map(formatLoss)).toEqual(["1.8800", "1.235e+5", "NaN", "Infinity"]);
  });
});

describe("lossCurve", () => {
  const line = Array.from({ length: 9 }, (_, step) => ({ step, loss: 4 - step / 4 }));

  test("a falling line", () => {
    expect(`\n${lossCurve(line, { width: 20, height: 3, smoothing: 0 })}\n`).toMatchInlineSnapshot(`
      "
      4.00 ┤⠉⠒⠤⣀⡀⠀⠀⠀⠀⠀⠀⠀⠀⠀
           ┤⠀⠀⠀⠀⠈⠑⠢⠤⣀⡀⠀⠀⠀⠀
      2.00 ┤⠀⠀⠀⠀⠀⠀⠀⠀⠀⠈⠑⠢⠤⣀
           └──────────────
            0       step 8
      "
    `);
  });

  test("stays within its width and height, whatever it is given", () => {
    const points = fc.array(fc.record({ step: fc.nat(), loss: fc.double() }), { maxLength: 50 });
    fc.assert(
      fc.property(points, fc.integer({ min: 30, max: 100 }), fc.integer({ min: 2, max: 20 }), (points, width, height) => {
        const curve = lossCurve(
          points.map(({ step, loss }) => ({ step, loss: loss % 1e9 })),
          { width, height },
        );
        if (curve === "") return;
        const lines = curve.split("\n");
        expect(lines.length).toBe(height + 2);
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
      }),
    );
  });

  test("smoothing draws the running mean; what is not finite is left out; too few points give nothing", () => {
    const noisy = line.map(({ step, loss }) => ({ step, loss: loss + (step % 2) }));
    expect(lossCurve(noisy, { smoothing: 0.9 })).not.toBe(lossCurve(noisy, { smoothing: 0 }));
    expect(lossCurve([...line, { step: 9, loss: Number.NaN }])).toBe(lossCurve(line));
    expect(lossCurve(line.slice(0, 1))).toBe("");
    expect(
      lossCurve([
        { step: 1, loss: 2 },
        { step: 2, loss: 2 },
      ]),
    ).toContain("2.00");
  });
});

describe("progress", () => {
  /** A run of steps of a second each; what it wrote. */
  function run(
    stream: { isTTY?: boolean; columns?: number },
    work: (line: ReturnType<typeof progress>, tick: (seconds: number) => void) => void,
  ) {
    let time = 0;
    let written = "";
    const write = (text: string) => {
      written += text;
    };
    const output = { ...stream, write };
    const line = progress({ total: 100, stream: output, every: 10, now: () => time });
    work(line, (seconds) => {
      time += seconds;
    });
    return written;
  }

  test("on a terminal the line is rewritten, at most ten times a second", () => {
    const written = run({ isTTY: true, columns: 80 }, (line, tick) => {
      for (let step = 1; step <= 40; step++) {
        tick(0.05);
        line.update({ step, loss: 3, tokensPerSecond: 12_345 });
      }
      line.log("validation loss 2.9");
      line.end();
    });
    const plain = uncoloured(written);
    expect(plain.split("\r\u001b[K").length - 1).toBeLessThanOrEqual(24);
    expect(plain).toContain("\r\u001b[Kvalidation loss 2.9\n\r\u001b[Kstep  40/100  loss 3.0000  tokens/s 12.3k  left 3s");
    expect(plain.endsWith("left 3s\n")).toBe(true);
  });

  test("a narrow terminal loses the last parts, so that the line never wraps", () => {
    const written = run({ isTTY: true, columns: 30 }, (line, tick) => {
      tick(1);
      line.update({ step: 1, loss: 3, tokensPerSecond: 12_345 });
    });
    expect(uncoloured(written)).toBe("\r\u001b[Kstep   1/100  loss 3.0000");
  });

  test("elsewhere a plain line now and then, and the last one", () => {
    const written = run({}, (line, tick) => {
      for (let step = 1; step <= 25; step++) {
        tick(1);
        line.update({ step, loss: 3 });
      }
      line.log("saved");
      line.end();
    });
    expect(written.split("\n")).toEqual([
      "step   1/100  loss 3.0000  left 1m 39s",
      "step  11/100  loss 3.0000  left 1m 29s",
      "step  21/100  loss 3.0000  left 1m 19s",
      "saved",
      "step  25/100  loss 3.0000  left 1m 15s",
      "",
    ]);
  });

  test("the first step, which compiles, does not spoil the time left", () => {
    const written = run({}, (line, tick) => {
      tick(30);
      line.update({ step: 1, loss: 3 });
      tick(1);
      line.update({ step: 2, loss: 3 });
      line.end();
    });
    expect(written).toContain("step   2/100  loss 3.0000  left 1m 38s");
  });

  test("silent without a stream", () => {
    const line = progress({ total: 1, stream: undefined });
    line.update({ step: 1, loss: 1 });
    line.log("nothing");
    line.end();
  });
});

test("colour only on a terminal, and not with NO_COLOR or a dumb one", () => {
  const stream = (isTTY: boolean) => ({ isTTY, write: () => true });
  expect(hasColor(stream(true), {})).toBe(true);
  expect(hasColor(stream(false), {})).toBe(false);
  expect(hasColor(stream(true), { NO_COLOR: "1" })).toBe(false);
  expect(hasColor(stream(true), { NO_COLOR: "" })).toBe(true);
  expect(hasColor(stream(true), { TERM: "dumb" })).toBe(false);
});
