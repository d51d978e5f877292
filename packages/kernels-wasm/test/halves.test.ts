import { decodeAttention } from "@x/ops";
import { type Device, decode, scope, tensor, withDevice, zeros } from "@x/tensor";
import { afterAll, describe, expect, test } from "vitest";
import { wasm } from "../src/index.ts";

describe("halves of a cache", async () => {
  const device: Device = await wasm();
  afterAll(() => device.close());

  // A single key has all the weight: what comes out is its value, as it was stored.
  test.each(["f16", "bf16"] as const)("every %s is read as what it is", async (dtype) => {
    const bits = Uint16Array.from({ length: 1 << 16 }, (_, i) => i);
    const every = decode(new Uint8Array(bits.buffer), dtype) as Float32Array;
    const o = withDevice(device, () =>
      scope(() => {
        // Rows of 8 and 1, so that whole vectors and rests are read.
        const read = (width: number) => {
          const shape = [256, 256 / width, 1, width];
          const none = zeros(shape, { dtype });
          const lengths = tensor(new Int32Array(256).fill(1), { dtype: "i32" });
          return decodeAttention({ q: none, k: none, v: tensor(every, { shape, dtype }), lengths }, { scale: 1 }).reshape([1 << 16]);
        };
        return [read(8), read(1)];
      }),
    );
    // A sum that begins with 0 has no -0.
    for (const one of o) expect(await one.data()).toEqual(every.map((value) => value + 0));
  });
});
