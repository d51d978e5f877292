/**
 * Published names of a layer's parameters and ours, as `rename` of `@x/checkpoint` takes them; {p} is weight or bias. They follow `longformer.encoder.layer.{i}.attention.` and `bert.encoder.layer.{i}.attention.`;
 * `output.LayerNorm`, beside `output.dense`, belongs to the block around the layer.
 */
export const longformerNames: readonly (readonly [published: string, ours: string])[] = [
  ["self.query.{p}", "query.{p}"],
  ["self.key.{p}", "key.{p}"],
  ["self.value.{p}", "value.{p}"],
  ["self.query_global.{p}", "queryGlobal.{p}"],
  ["self.key_global.{p}", "keyGlobal.{p}"],
  ["self.value_global.{p}", "valueGlobal.{p}"],
  ["output.dense.{p}", "output.{p}"],
];

export const bigBirdNames: typeof longformerNames = longformerNames.filter(([published]) => !published.includes("global"));
