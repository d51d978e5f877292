import { defineOp, one, out } from "../op.ts";

/** The same elements, contiguous, in memory of their own. [...] -> [...] */
export const copy = defineOp({
  name: "copy",
  inputs: { x: one() },
  outputs: { y: out() },
  copies: true,
  infer: ({ x }) => ({ y: x }),
  grad: ({ upstream }) => ({ x: upstream.y }),
});
