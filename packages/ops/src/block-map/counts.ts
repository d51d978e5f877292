import { arange, type DType, full, Tensor } from "@x/tensor";
import { blockSize, blocksIn, planes, runWords } from "./lists.ts";
import { header } from "./words.ts";

interface Scores {
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
}

/** How often each query sees each key, [batch, heads, queries, keys] of a float type: what a block map says, in primitives. A map of other lengths gives NaN. */
export function countsOf(map: Tensor, { batch, heads, queries, keys }: Scores, dtype: DType): Tensor {
  const word = (name: keyof typeof header) => map.slice(0, header[name], header[name] + 1).cast("i32");
  const iota = (length: number) => arange(length, { device: map.device });
  const [query, key] = [iota(queries), iota(keys)];
  const entry = iota(batch * heads);
  const [ofBatch, ofHeads] = [word("batch").sub(1), word("heads").sub(1)];
  const pattern = map
    .take(
      word("table")
        .add(entry.div(heads).minimum(ofBatch).mul(ofHeads.add(1)))
        .add(entry.mod(heads).minimum(ofHeads)),
    )
    .cast("i32");
  const list = pattern.mul(blocksIn(queries)).unsqueeze(1).add(query.div(blockSize));
  // Of each pair its block, [what, batch * heads, queries, keys]: first how often all of it is seen, then the mask of each plane.
  const pairs = blocksOf(map, word, batch * heads * blocksIn(queries), blocksIn(keys))
    .take(list, 1)
    .take(key.div(blockSize), 3);
  const masks = pairs.slice(0, 1, planes.length + 1);
  const place = masks.add(query.mod(blockSize).mul(2).unsqueeze(1)).add(key.mod(blockSize).div(32));
  const powers = full([32], 2, { dtype: "u32", device: map.device }).cumprod(0, { exclusive: true });
  const bits = map
    .take(place)
    .and(powers.take(key.mod(32)))
    .ne(0)
    .and(masks.ne(0))
    .cast(dtype);
  const counts = planes.reduce(
    (sum, times, plane) => sum.add(bits.slice(0, plane, plane + 1).mul(times)),
    pairs.slice(0, 0, 1).cast(dtype),
  );
  const fits = word("queries").eq(queries).and(word("keys").eq(keys));
  return fits.where(counts.reshape([batch, heads, queries, keys]), Number.NaN);
}

/** For each list of key blocks and each key block: how often all of it is seen, and the place of the mask of each plane or 0. i32 [1 + planes, lists, columns]. */
function blocksOf(map: Tensor, word: (name: keyof typeof header) => Tensor, lists: number, columns: number): Tensor {
  const iota = (length: number) => arange(length, { device: map.device });
  const at = (places: Tensor) => map.take(places).cast("i32");
  // As many lists and runs as there can be: shapes do not follow from values. What is too much counts nothing.
  const runs = Math.ceil(map.shape[0]! / runWords);
  const exists = iota(runs).lt(word("rowRuns")).cast("i32");
  const isList = iota(lists)
    .lt(word("patterns").mul(word("rows")))
    .cast("i32");
  const firstRun = at(word("rowLists").add(iota(lists)))
    .sub(word("runs"))
    .div(runWords);
  // The list of a run: how many begin at it or before.
  const list = isList.putAdd(firstRun.mul(isList), 0, runs).cumsum(0).sub(1);
  const field = (n: number) => at(word("runs").add(iota(runs).mul(runWords)).add(n)).mul(exists);
  const [first, length, times, mask] = [field(0), field(1), field(2), field(3)];
  const whole = times.mul(mask.eq(0).cast("i32"));
  const values = Tensor.stack([whole, ...planes.map((plane) => mask.mul(times.eq(plane).cast("i32")))]);
  // Added where a run begins, taken off behind it, and summed up along the row.
  const start = list.mul(columns + 1).add(first);
  const put = (places: Tensor) => values.putAdd(places.mul(exists), 1, lists * (columns + 1));
  const steps = put(start).sub(put(start.add(length)));
  return steps
    .reshape([planes.length + 1, lists, columns + 1])
    .cumsum(2)
    .slice(2, 0, columns);
}
