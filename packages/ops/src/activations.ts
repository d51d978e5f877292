import { defineOp, one, out, type Spec, type Tensor } from "@x/tensor";
import { expectFloat, expectSame } from "./expect.ts";

/** An elementwise function with a derivative written out: shorter than what the chain rule would give. */
function activation<const Name extends string>(name: Name, value: (x: Tensor) => Tensor, derivative: (x: Tensor) => Tensor) {
  return defineOp({
    name,
    inputs: { x: one() },
    outputs: { y: out() },
    pointwise: true,
    infer: ({ x }) => {
      expectFloat(name, "x", x);
      return { y: x };
    },
    reference: ({ x }) => ({ y: value(x) }),
    saves: ["x"],
    grad: ({ saved: { x }, upstream }) => ({ x: upstream.y!.mul(derivative(x)) }),
  });
}

/** max(x, 0), with slope 0 at 0. */
export const relu = activation(
  "relu",
  (x) => x.maximum(0),
  (x) => x.gt(0).where(x.onesLike(), x.zerosLike()),
);

/** x Phi(x) with the normal distribution function, by erf. Hendrycks and Gimpel 2016, arXiv 1606.08415. */
export const gelu = activation(
  "gelu",
  (x) => x.mul(x.mul(Math.SQRT1_2).erf().add(1)).mul(0.5),
  (x) =>
    x
      .mul(Math.SQRT1_2)
      .erf()
      .add(1)
      .mul(0.5)
      .add(x.mul(x.mul(x).mul(-0.5).exp()).mul(1 / Math.sqrt(2 * Math.PI))),
);

const root = Math.sqrt(8 / Math.PI);
/** sigmoid(2 u) = (1 + tanh(u)) / 2, which takes fewer operations and cancels nothing below 0. */
const gateOf = (x: Tensor): Tensor =>
  x
    .mul(x)
    .mul(0.044715 * root)
    .add(root)
    .mul(x)
    .sigmoid();
/** The tanh approximation of gelu: GPT-2's "gelu_new". */
export const geluTanh = activation(
  "geluTanh",
  (x) => x.mul(gateOf(x)),
  (x) => {
    const s = gateOf(x);
    const slope = x
      .mul(x)
      .mul(3 * 0.044715 * root)
      .add(root);
    return s.neg().add(1).mul(x).mul(slope).add(1).mul(s);
  },
);

/** x sigmoid(x), also called swish. */
export const silu = activation(
  "silu",
  (x) => x.mul(x.sigmoid()),
  (x) => {
    const s = x.sigmoid();
    return s.mul(x.mul(s.neg().add(1)).add(1));
  },
);

/** silu(gate) * up: the gated feed-forward's nonlinearity. Shazeer 2020, arXiv 2002.05202. */
export const swiglu = defineOp({
  name: "swiglu",
  inputs: { gate: one(), up: one() },
  outputs: { y: out() },
  pointwise: true,
  infer: ({ gate, up }: { gate: Spec; up: Spec }) => {
    expectFloat("swiglu", "gate", gate);
    expectSame("swiglu", "up", up, gate, "gate");
    return { y: gate };
  },
  reference: ({ gate, up }) => ({ y: gate.mul(gate.sigmoid()).mul(up) }),
  saves: ["gate", "up"],
  grad: ({ saved: { gate, up }, upstream, needs }) => {
    const s = gate.sigmoid();
    return {
      gate: needs("gate")
        ? upstream
            .y!.mul(up)
            .mul(s)
            .mul(gate.mul(s.neg().add(1)).add(1))
        : undefined,
      up: needs("up") ? upstream.y!.mul(gate.mul(s)) : undefined,
    };
  },
});

/** The activations that a fused linear layer can apply, by name. */
export const activations = {
  none: (x: Tensor) => x,
  relu: (x: Tensor) => relu({ x }),
  gelu: (x: Tensor) => gelu({ x }),
  geluTanh: (x: Tensor) => geluTanh({ x }),
  silu: (x: Tensor) => silu({ x }),
};
export type Activation = keyof typeof activations;
