import type { Activation } from "@x/ops";
import { mathSource } from "../../wgsl/math.ts";
import type { Place } from "../planner.ts";

/** What is done to a product before it is stored. */
export interface Epilogue {
  readonly bias?: Place | undefined;
  readonly residual?: Place | undefined;
  /** Where the value before the activation is kept. */
  readonly pre?: Place | undefined;
  readonly activation: Activation;
}

const sources: Readonly<Record<Activation, { readonly needs: readonly string[]; readonly value: string }>> = {
  none: { needs: [], value: "x" },
  relu: { needs: [], value: "max(x, vec4<f32>(0.0))" },
  gelu: { needs: ["m_erf"], value: "0.5 * x * (1.0 + m_erf(x * 0.7071067811865476))" },
  geluTanh: {
    needs: ["m_tanh"],
    value: "0.5 * x * (1.0 + m_tanh(0.7978845608028654 * x * fma(x * x, vec4<f32>(0.044715), vec4<f32>(1.0))))",
  },
  silu: { needs: ["m_sigmoid"], value: "x * m_sigmoid(x)" },
};

/**
 * WGSL of `store(place, n, v)`: four neighbouring elements of a row of the result, the first at `place`, which is column n. With `vector` rows are whole fours; else elements beyond the row are left alone.
 */
export function storeSource({ bias, residual, pre, activation }: Epilogue, vector: boolean): string {
  const { needs, value } = sources[activation];
  const lanes = (body: (i: string) => string) => `for (var i = 0u; i < 4u; i++) { if (n + i < p.n) { ${body("i")} } }`;
  const added = (name: string, at: string) =>
    vector ? `x += ${name}_at((${at}) >> 2u);` : lanes((i) => `x[${i}] += ${name}_at(${at} + ${i});`);
  const put = (name: string, source: string) =>
    vector ? `${name}_put(place >> 2u, ${source});` : lanes((i) => `${name}_put(place + ${i}, ${source}[${i}]);`);
  return `${mathSource(needs)}
fn store(place: u32, n: u32, v: vec4<f32>) {
  var x = v;
  ${bias ? added("bias", "n") : ""}
  ${pre ? put("pre", "x") : ""}
  x = ${value};
  ${residual ? added("residual", "place") : ""}
  ${put("y", "x")}
}
`;
}
