import { logSoftmax, logSoftmaxBackward, softmax, softmaxBackward } from "@x/ops";
import { axisIn } from "@x/tensor";
import { alongLast } from "./along-last.ts";
import { wasmKernel } from "./kernel.ts";

const forward = (op: typeof softmax, log: 0 | 1) =>
  wasmKernel(op, {
    plan(p, { specs: { x }, attrs: { axis } }) {
      alongLast(p, x.shape, axisIn(axis, x.shape.length, "softmax"), { x: p.input("x") }, { y: p.output("y") }, (at, rows, n) =>
        p.run("softmax", { y: at.y, x: at.x, n, log }, rows, 4 * n),
      );
    },
  });

const backward = (op: typeof softmaxBackward, log: 0 | 1) =>
  wasmKernel(op, {
    plan(p, { specs: { y }, attrs: { axis } }) {
      const inputs = { y: p.input("y"), dy: p.input("dy") };
      alongLast(p, y.shape, axisIn(axis, y.shape.length, "softmax"), inputs, { dx: p.output("dx") }, (at, rows, n) =>
        p.run("softmax_grad", { dx: at.dx, y: at.y, dy: at.dy, n, log }, rows, log ? 3 * n : n),
      );
    },
  });

export const softmaxKernels = [
  forward(softmax, 0),
  forward(logSoftmax as unknown as typeof softmax, 1),
  backward(softmaxBackward, 0),
  backward(logSoftmaxBackward as unknown as typeof softmaxBackward, 1),
];
