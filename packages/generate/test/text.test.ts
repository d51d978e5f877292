import fc from "fast-check";
import { expect, it } from "vitest";
import { StopMatcher, TextStream } from "../src/index.ts";

const decodeBytes = (chunks: Uint8Array[]) => (ids: number[]) =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(ids.flatMap((id) => [...chunks[id]!])));

it("emits every character once and none by halves, wherever tokens cut the bytes", () => {
  const cut = fc.tuple(fc.string({ unit: "binary", maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1 }));
  fc.assert(
    fc.property(cut, ([text, sizes]) => {
      fc.pre(!text.includes("\ufffd"));
      const bytes = new TextEncoder().encode(text);
      const chunks: Uint8Array[] = [];
      for (let start = 0, i = 0; start < bytes.length; i++) {
        const size = sizes[i % sizes.length]!;
        chunks.push(bytes.slice(start, start + size));
        start += size;
      }
      const stream = new TextStream(decodeBytes(chunks));
      const pieces = chunks.map((_, id) => stream.push(id));
      expect(pieces.join("")).toBe(text);
      for (const piece of pieces) expect(piece).not.toContain("\ufffd");
      expect(stream.flush()).toBe("");
    }),
  );
});

it("flushes a character that never came whole, and completes one that the prompt began", () => {
  const [a, b, c, d] = [...new TextEncoder().encode("🙂")].map((byte) => Uint8Array.of(byte));
  const decode = decodeBytes([a!, b!, c!, d!, Uint8Array.of(120)]);
  const stream = new TextStream(decode);
  expect([4, 0, 1, 2].map((id) => stream.push(id))).toEqual(["x", "", "", ""]);
  expect(stream.flush()).toBe("\ufffd");
  const rest = new TextStream(decode, [4, 0, 1]);
  expect([2, 3, 4].map((id) => rest.push(id))).toEqual(["", "🙂", "x"]);
});

it("stops at the same place however the text is cut", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 30 });
  const stop = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(text, fc.array(stop, { minLength: 1, maxLength: 3 }), fc.integer({ min: 1, max: 5 }), (whole, stops, size) => {
      let end = 1;
      while (end <= whole.length && !stops.some((one) => whole.slice(0, end).endsWith(one))) end++;
      const hit = whole.slice(0, end);
      const longest = end > whole.length ? 0 : Math.max(...stops.filter((one) => hit.endsWith(one)).map((one) => one.length));
      const matcher = new StopMatcher(stops);
      let passed = "";
      let stopped = false;
      for (let start = 0; start < whole.length && !stopped; start += size) {
        const result = matcher.push(whole.slice(start, start + size));
        passed += result.text;
        stopped = result.stop !== undefined;
      }
      expect(passed + matcher.flush()).toBe(hit.slice(0, hit.length - longest));
      expect(stopped).toBe(longest > 0);
    }),
  );
});
