/**
 * The onnxruntime peers (web and node share this interface). Variants: none = B a constant of the model (prepacked),
 * `b-input` = B an input of the call.
 */
import { timed } from "../src/competitor.ts";
import { blocksModel, gemmModel, rowsModel } from "../src/onnx-graphs.ts";

/** A chain this much longer than one operation; the difference leaves out the copies of a call. */
const longChain = 5;

/**
 * @param {{ Tensor: any, version: string, session: (bytes: Uint8Array, threads: number) => Promise<any>, copiesInputs: boolean }} runtime
 * @param {string | undefined} variant
 */
export function ortCompetitor({ Tensor, version, session, copiesInputs }, variant) {
  return {
    version: () => version,
    async prepare({ work, inputs, threads }) {
      const tensor = (name, shape) => new Tensor("float32", inputs[name], shape);
      if (work.kind === "gemm") {
        const constantB = variant !== "b-input";
        if (!constantB && work.m === 1 && copiesInputs) return undefined; // its B would not stay on the device
        const feeds = { a: tensor("a", [work.m, work.k]) };
        if (!constantB) feeds.b = tensor("b", [work.k, work.n]);
        return plain(await session(gemmModel(work, inputs, constantB), threads), feeds);
      }
      if (variant) return undefined;
      if (work.kind === "blocks") {
        return plain(await session(blocksModel(work, inputs), threads), { x: tensor("x", [work.tokens, work.dim]) });
      }
      if (work.kind === "baby") return undefined; // inference only
      const feeds = { x: tensor("x", [work.rows, work.cols]) };
      const short = plain(await session(rowsModel(work, inputs, 1), threads), feeds);
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

function plain(session, feeds) {
  return {
    output: async () => Float32Array.from((await session.run(feeds)).y.data),
    sample: timed(() => session.run(feeds)),
  };
}
