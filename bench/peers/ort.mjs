/**
 * The onnxruntime peers (web and node share this interface). Variants: none = what a caller pays (B a constant of the model, prepacked;
 * the input tensor made once, the output written into one that is there where the library does that), `b-input` = B an input of the call, `kernel` = row operations
 * without the copies of a call.
 */
import { timed } from "../src/competitor.ts";
import { byHead, byToken } from "../src/heads.ts";
import { attentionModel, blocksModel, gemmModel, rowsModel } from "../src/onnx-graphs.ts";

/** A chain this much longer than one operation; the difference leaves out the copies of a call. */
const longChain = 5;

/**
 * @param {{ Tensor: any, version: string, session: (bytes: Uint8Array, threads: number) => Promise<any>, copiesInputs: boolean, takesOutputs: boolean }} runtime
 * @param {string | undefined} variant
 */
export function ortCompetitor({ Tensor, version, session, copiesInputs, takesOutputs }, variant) {
  return {
    version: () => version,
    async prepare({ work, inputs, threads }) {
      const tensor = (name, shape) => new Tensor("float32", inputs[name], shape);
      if (work.kind === "gemm") {
        if (variant === "kernel") return undefined;
        const constantB = variant !== "b-input";
        if (!constantB && work.m === 1 && copiesInputs) return undefined; // its B would not stay on the device
        const feeds = { a: tensor("a", [work.m, work.k]) };
        if (!constantB) feeds.b = tensor("b", [work.k, work.n]);
        return plain(await session(gemmModel(work, inputs, constantB), threads), feeds);
      }
      if (["gpt", "layer", "blockmap", "decode"].includes(work.kind)) return undefined; // trains nothing
      if (work.kind === "attention") {
        if (variant || work.training) return undefined;
        const shape = [1, work.tokens, work.heads * work.width];
        const feeds = Object.fromEntries(["q", "k", "v"].map((name) => [name, new Tensor("float32", byToken(work, inputs[name]), shape)]));
        const { output, sample } = plain(await session(attentionModel(work), threads), feeds);
        return { output: async () => byHead(work, await output()), sample };
      }
      if (work.kind === "blocks") {
        if (variant) return undefined;
        return plain(await session(blocksModel(work, inputs), threads), { x: tensor("x", [work.tokens, work.dim]) });
      }
      if (variant && variant !== "kernel") return undefined;
      const shape = [work.rows, work.cols];
      const feeds = { x: tensor("x", shape) };
      const one = await session(rowsModel(work, inputs, 1), threads);
      const fetches = takesOutputs ? { y: new Tensor("float32", new Float32Array(work.rows * work.cols), shape) } : undefined;
      if (!variant) return plain(one, feeds, fetches);
      const short = plain(one, feeds);
      const long = plain(await session(rowsModel(work, inputs, longChain), threads), feeds);
      return {
        output: short.output,
        sample: async () => {
          const one = await short.sample();
          return ((await long.sample()) - one) / (longChain - 1);
        },
      };
    },
  };
}

/** `outputs`: tensors that the results are written into. */
function plain(session, feeds, outputs) {
  const run = () => (outputs ? session.run(feeds, outputs) : session.run(feeds));
  return {
    output: async () => Float32Array.from((await run()).y.data),
    sample: timed(run),
  };
}
