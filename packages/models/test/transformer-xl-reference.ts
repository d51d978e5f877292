/** Transformer-XL in plain loops and f64, from a published state dict: what the published implementation computes, its relative shift by a view included. */

export interface PublishedXL {
  readonly d_model: number;
  readonly n_layer: number;
  readonly n_head: number;
  readonly d_head: number;
  readonly vocab_size: number;
  readonly cutoffs: readonly number[];
  readonly div_val: number;
  readonly mem_len: number;
  readonly clamp_len: number;
  readonly same_length: boolean;
  readonly pre_lnorm: boolean;
  readonly untie_r: boolean;
}
export type StateDict = ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: ArrayLike<number> }>;
type Vector = readonly number[];
type Matrix = readonly Vector[];
/** For each layer, vectors that entered it. */
export type Memories = readonly Matrix[];

const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const dot = (a: Vector, b: Vector) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const plus = (a: Vector, b: Vector) => a.map((value, i) => value + b[i]!);
const logSoftmax = (logits: Vector) => {
  const total = Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0));
  return logits.map((value) => value - total);
};

export function referenceXL(config: PublishedXL, dict: StateDict) {
  const vector = (name: string): Vector => Array.from(dict.get(name)!.values);
  const matrix = (name: string): Matrix => {
    const { shape, values } = dict.get(name)!;
    return range(shape[0]!).map((i) => Array.from({ length: shape[1]! }, (_, j) => values[i * shape[1]! + j]!));
  };
  const times = (m: Matrix, x: Vector) => m.map((row) => dot(row, x));
  const norm = (name: string, x: Vector) => {
    const mean = x.reduce((a, b) => a + b, 0) / x.length;
    const deviation = Math.sqrt(x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length + 1e-5);
    const [weight, bias] = [vector(`${name}.weight`), vector(`${name}.bias`)];
    return x.map((value, i) => ((value - mean) / deviation) * weight[i]! + bias[i]!);
  };
  const { d_model, n_head, d_head, mem_len } = config;
  const edges = [0, ...config.cutoffs, config.vocab_size];
  const clusterOf = (word: number) => edges.findIndex((_, i) => word < edges[i + 1]!);

  function embed(word: number): Vector {
    const c = clusterOf(word);
    const row = matrix(`transformer.word_emb.emb_layers.${c}.weight`)[word - edges[c]!]!;
    return times(matrix(`transformer.word_emb.emb_projs.${c}`), row).map((value) => value * Math.sqrt(d_model));
  }

  function attend(layer: number, x: Matrix, memory: Matrix): Matrix {
    const at = `transformer.layers.${layer}.dec_attn`;
    const [qlen, klen] = [x.length, memory.length + x.length];
    const all = [...memory, ...x].map((row) => (config.pre_lnorm ? norm(`${at}.layer_norm`, row) : row));
    const packed = all.map((row) => times(matrix(`${at}.qkv_net.weight`), row));
    const bias = (name: string) => matrix(config.untie_r ? `${at}.${name}` : `transformer.${name}`);
    const width = n_head * d_head;
    const part = (row: Vector, which: number, head: number) =>
      row.slice(which * width + head * d_head, which * width + (head + 1) * d_head);
    const r = range(klen).map((c) => {
      const distance = config.clamp_len > 0 ? Math.min(klen - 1 - c, config.clamp_len) : klen - 1 - c;
      const angles = range(d_model / 2).map((a) => distance / 10_000 ** ((2 * a) / d_model));
      return times(matrix(`${at}.r_net.weight`), [...angles.map(Math.sin), ...angles.map(Math.cos)]);
    });
    const maskLength = klen - mem_len;
    const shift = maskLength > 0 ? qlen - maskLength : qlen;
    const hidden = (i: number, j: number) => j > i + memory.length || (config.same_length && j <= i - shift);
    const heads = range(n_head).map((head) => {
      const queries = packed.slice(-qlen).map((row) => part(row, 0, head));
      const [w, v] = [bias("r_w_bias")[head]!, bias("r_r_bias")[head]!];
      const raw = queries.map((q) => r.map((row) => dot(plus(q, v), row.slice(head * d_head, (head + 1) * d_head))));
      // A column of zeros before, read as [klen + 1, qlen] without its first row, read as [qlen, klen] again.
      const flat = raw.flatMap((row) => [0, ...row]).slice(qlen);
      return queries.map((q, i) => {
        const scores = packed.map((row, j) =>
          hidden(i, j) ? -Infinity : (dot(plus(q, w), part(row, 1, head)) + flat[i * klen + j]!) / Math.sqrt(d_head),
        );
        const weights = logSoftmax(scores).map(Math.exp);
        return range(d_head).map((k) => packed.reduce((sum, row, j) => sum + weights[j]! * part(row, 2, head)[k]!, 0));
      });
    });
    return x.map((row, i) => {
      const out = plus(
        row,
        times(
          matrix(`${at}.o_net.weight`),
          heads.flatMap((head) => head[i]!),
        ),
      );
      return config.pre_lnorm ? out : norm(`${at}.layer_norm`, out);
    });
  }

  function feed(layer: number, x: Vector): Vector {
    const at = `transformer.layers.${layer}.pos_ff`;
    const linear = (name: string, y: Vector) => plus(times(matrix(`${name}.weight`), y), vector(`${name}.bias`));
    const hidden = linear(`${at}.CoreNet.0`, config.pre_lnorm ? norm(`${at}.layer_norm`, x) : x).map((value) => Math.max(0, value));
    const out = plus(x, linear(`${at}.CoreNet.3`, hidden));
    return config.pre_lnorm ? out : norm(`${at}.layer_norm`, out);
  }

  function logProbabilities(x: Vector): Vector {
    const tails = config.cutoffs.length;
    const transposed = (m: Matrix) => m[0]!.map((_, k) => m.map((row) => row[k]!));
    const projected = (c: number) => times(transposed(matrix(c === 0 ? "crit.out_projs.0" : `transformer.word_emb.emb_projs.${c}`)), x);
    const logits = (c: number) =>
      plus(times(matrix(`transformer.word_emb.emb_layers.${c}.weight`), projected(c)), vector(`crit.out_layers.${c}.bias`));
    const clusters = plus(times(matrix("crit.cluster_weight"), projected(0)), vector("crit.cluster_bias"));
    const head = logSoftmax([...logits(0), ...clusters]);
    return [
      ...head.slice(0, edges[1]),
      ...range(tails).flatMap((k) => logSoftmax(logits(k + 1)).map((value) => value + head[edges[1]! + k]!)),
    ];
  }

  return (tokens: readonly number[], memories: Memories): { readonly output: Matrix; readonly memories: Memories } => {
    const inputs: Matrix[] = [];
    let x: Matrix = tokens.map(embed);
    for (const layer of range(config.n_layer)) {
      inputs.push(x);
      x = attend(layer, x, memories[layer]!).map((row) => feed(layer, row));
    }
    return { output: x.map(logProbabilities), memories: inputs.map((rows, i) => [...memories[i]!, ...rows].slice(-mem_len)) };
  };
}
