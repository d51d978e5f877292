import { fft, sizeOf } from "@x/tensor";
import { u32 } from "../../device/launch.ts";
import { webgpuKernel } from "../kernel.ts";
import { bluestein } from "./bluestein.ts";
import { radicesOf, type Side, transform } from "./transform.ts";

const at = "let at = row * p.length + i;";

export const fftKernel = webgpuKernel(fft, {
  plan(p, { specs: { re }, attrs: { inverse } }) {
    const n = re.shape.at(-1)!;
    const rows = sizeOf(re.shape.slice(0, -1));
    if (rows * n === 0) return;
    const params = { length: u32(n) };
    const side = (code: string, uses: Side["uses"]): Side => ({ code, uses, params });
    const given = `fn given(row: u32, i: u32) -> vec2<f32> { ${at} return vec2<f32>(re_at(at), im_at(at)); }\n`;
    const result = `fn result(row: u32, i: u32, v: vec2<f32>) { ${at} yre_put(at, v.x); yim_put(at, v.y); }\n`;
    const inputs = { re: p.input("re"), im: p.input("im") };
    const outputs = { yre: p.output("re"), yim: p.output("im") };
    const sign = inverse ? 1 : -1;
    if (!radicesOf(n)) bluestein(p, { rows, n, sign, load: side(given, inputs), store: side(result, outputs) });
    else
      transform(p, {
        ...{ rows, n, sign },
        load: side(`${given}fn load(row: u32, i: u32) -> vec2<f32> { return given(row, i); }`, inputs),
        store: side(`${result}fn store(row: u32, i: u32, v: vec2<f32>) { result(row, i, v); }`, outputs),
      });
  },
});
