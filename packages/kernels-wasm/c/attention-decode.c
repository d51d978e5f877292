/* Attention of few queries over a cache: each unit takes up to TILE queries of the heads of one key head over one chunk of keys; then the ordered merge. */
#include "bytes.h"
#include "online-softmax.h"
#include "rows.h"

/* So few columns leave most of a tile's products unused: rows are read where they lie, a product at a time. */
enum { FEW = 2 };

/* Keys or values of a cache, by what an element is: a number, a half, or a code of 8 bits with a scale for each position and head; strides in elements. */
enum { NUMBERS, CODES, F16, BF16 };
typedef struct {
  const f32 *x, *scales;
  i32 kind, piece, head, row, dim;
} side;

/* Where a position lies: in which piece (a page, or the cache of an entry), at which row, and how many rows follow there with it. */
typedef struct {
  i32 piece, row, left;
} spot;

INLINE spot spot_of(const attention_decode_args *a, i32 batch, i32 position) {
  if (a->pages) {
    i32 row = position % a->page;
    i32 page = a->pages[batch * a->keys / a->page + position / a->page];
    return (spot){.piece = MAX(0, MIN(page, a->pool - 1)), .row = row, .left = a->page - row};
  }
  i32 row = a->ring ? position % a->keys : position;
  return (spot){.piece = batch, .row = row, .left = a->keys - row};
}

/* The rows of some positions, `stride` apart: as they lie where they lie in one piece as numbers, else put together in `made`. */
INLINE const f32 *fetch(f32 *made, i32 *stride, const attention_decode_args *a, const side *s, i32 batch, i32 kv, i32 position, i32 rows) {
  spot at = spot_of(a, batch, position);
  *stride = s->row;
  if (s->kind == NUMBERS && at.left >= rows) return s->x + at.piece * s->piece + kv * s->head + at.row * s->row;
  *stride = ROW;
  for (i32 r = 0, count; r < rows; r += count) {
    at = spot_of(a, batch, position + r), count = MIN(at.left, rows - r);
    i32 from = at.piece * s->piece + kv * s->head + at.row * s->row;
    const f32 *scales = s->kind == CODES ? s->scales + (at.piece * a->kvHeads + kv) * (a->pages ? a->page : a->keys) + at.row : 0;
    f32 *out = made + r * ROW;
    if (s->kind == NUMBERS) copy_rows(out, s->x + from, s->row, count, s->dim);
    else
      for (i32 i = 0; i < count; i++, from += s->row, out += ROW) {
        if (scales) numbers_of(out, (const u8 *)s->x + from, s->dim, scales[i]);
        else numbers_of_halves(out, (const u16 *)s->x + from, s->dim, s->kind == BF16);
      }
  }
  return made;
}

INLINE const f32 *side_by_side(f32 *made, const f32 *x, i32 stride, i32 rows, i32 dim) {
  if (x != made) copy_rows(made, x, stride, rows, dim);
  return made;
}

INLINE void score_few(f32 *t, const f32 *x, i32 stride, i32 rows, const f32 *q, i32 columns, i32 dim) {
  for (i32 r = 0; r < rows; r++, x += stride, t += TILE) vf_store(t, (vf){row_dot(q, x, dim), columns > 1 ? row_dot(q + dim, x, dim) : 0.0f, 0.0f, 0.0f});
}

/* Sixteen numbers of a row at a time. */
ALONE void add_few(f32 *out, const f32 *t, const f32 *x, i32 stride, i32 rows) {
  vf s0 = vf_load(out), s1 = vf_load(out + 4), s2 = vf_load(out + PANEL), s3 = vf_load(out + PANEL + 4);
  for (; rows > 0; rows--, x += stride, t += TILE) {
    vf p = vf_set(*t);
    s0 = vf_fma(p, vf_load(x), s0), s1 = vf_fma(p, vf_load(x + 4), s1), s2 = vf_fma(p, vf_load(x + 8), s2), s3 = vf_fma(p, vf_load(x + 12), s3);
  }
  vf_store(out, s0), vf_store(out + 4, s1), vf_store(out + PANEL, s2), vf_store(out + PANEL + 4, s3);
}

/* Adds what the distance of a key at `position` + r from the query of column c, which stands at at[c], gives its head. */
static void add_bias(f32 *t, const f32 *const *tables, const i32 *at, i32 reach, i32 position, i32 rows, i32 columns) {
  for (i32 r = 0; r < rows; r++)
    for (i32 c = 0; c < columns; c++) t[r * TILE + c] += tables[c][MAX(-reach, MIN(reach, position + r - at[c]))];
}

/* Whether the mask shows one of these positions, which may lie in a ring: what it hides whole is not read. */
static i32 some_shown(const u8 *mask, i32 ring, i32 position, i32 rows) {
  for (i32 r = 0; r < rows; r++)
    if (mask[ring ? (position + r) % ring : position + r]) return 1;
  return 0;
}

/* Columns are pairs of a query and a head of the group, query by query. */
KERNEL(attention_decode) {
  running state;
  f32 packed[TILE * MAX_DIM], rows_of_q[TILE * MAX_DIM], t[BLOCK * TILE], made[BLOCK * ROW];
  const f32 *tables[TILE];
  i32 at[TILE], row[TILE], stride;
  side k = {.x = a->k, .scales = a->keyScales, .kind = a->keyKind, .piece = a->kBatch, .head = a->kHead, .row = a->kRow, .dim = a->dim};
  side v = {.x = a->v, .scales = a->valueScales, .kind = a->valueKind, .piece = a->vBatch, .head = a->vHead, .row = a->vRow, .dim = a->valueDim};
  i32 group = a->heads / a->kvHeads, all = group * a->queries, tiles = CEIL_DIV(all, TILE);
  for (i32 unit = begin; unit < end; unit++) {
    i32 split = unit % a->splits, rest = unit / a->splits, tile = rest % tiles, kv = rest / tiles % a->kvHeads, batch = rest / tiles / a->kvHeads;
    i32 length = MAX(0, a->ring ? a->lengths[batch] : MIN(a->lengths[batch], a->keys)), offset = length - a->queries;
    i32 columns = MIN(TILE, all - tile * TILE);
    for (i32 c = 0; c < columns; c++) {
      i32 query = (tile * TILE + c) / group, head = kv * group + (tile * TILE + c) % group;
      const f32 *q = a->q + batch * a->qBatch + head * a->qHead + query * a->qRow;
      for (i32 d = 0; d < a->dim; d++) rows_of_q[c * a->dim + d] = q[d] * a->scale;
      at[c] = offset + query, row[c] = (batch * a->heads + head) * a->queries + query;
      tables[c] = a->bias ? a->bias + head * (2 * a->reach + 1) + a->reach : 0;
    }
    /* The first and last query of the tile bound what is walked over: work is as long as the window. */
    i32 nearest = at[0], farthest = at[columns - 1];
    i32 first = MAX(a->ring ? length - a->keys : 0, a->window ? nearest - a->window + 1 : 0);
    first = MAX(0, first) + split * a->chunk;
    i32 last = MIN(farthest + 1, first + a->chunk);
    i32 few = columns <= FEW && a->valueDim % 16 == 0;
    if (!few) pack_rows(packed, rows_of_q, a->dim, columns, a->dim, 1.0f);
    start(&state, columns, a->valueDim);
    const u8 *mask = a->keyMask ? a->keyMask + batch * a->keys : 0;
    for (i32 key = first; key < last; key += BLOCK) {
      i32 rows = MIN(BLOCK, last - key);
      if (mask && !some_shown(mask, a->ring ? a->keys : 0, key, rows)) continue;
      const f32 *x = fetch(made, &stride, a, &k, batch, kv, key, rows);
      if (few) score_few(t, x, stride, rows, rows_of_q, columns, a->dim);
      else score_tile(t, side_by_side(made, x, stride, rows, a->dim), rows, packed, columns, a->dim);
      if (a->softcap != 0.0f) cap_scores(t, 0, a->softcap, rows, columns);
      if (a->bias) add_bias(t, tables, at, a->reach, key, rows, columns);
      i32 window = a->window ? a->window : farthest + 1;
      if (mask || key + rows - 1 > nearest || key <= farthest - window)
        for (i32 r = 0; r < rows; r++) {
          i32 hidden = mask && !mask[a->ring ? (key + r) % a->keys : key + r];
          for (i32 c = 0; c < columns; c++)
            if (hidden || key + r > at[c] || key + r <= at[c] - window) t[r * TILE + c] = -INFINITE;
        }
      absorb(&state, t, rows, columns, a->valueDim);
      x = fetch(made, &stride, a, &v, batch, kv, key, rows);
      if (!few) add_product(state.out, t, columns, side_by_side(made, x, stride, rows, a->valueDim), rows, a->valueDim);
      else
        for (i32 c = 0; c < columns; c++)
          for (i32 d = 0; d < a->valueDim; d += 16) add_few(state.out + place(c, d), t + c, x + d, stride, rows);
    }
    for (i32 c = 0; c < columns; c++) {
      i32 to = row[c] * a->splits + split;
      finish_row(&state, c, a->o + to * a->valueDim, a->lse + to, a->valueDim, -INFINITE, 1.0f);
    }
  }
}

KERNEL(attention_combine) {
  i32 dim = a->valueDim;
  for (i32 row = begin; row < end; row++) {
    const f32 *lse = a->partialLse + row * a->splits, *partial = a->partial + row * a->splits * dim;
    f32 highest = -INFINITE, sum = 0.0f;
    for (i32 c = 0; c < a->splits; c++) highest = f_max(highest, lse[c]);
    f32 shift = highest == -INFINITE ? 0.0f : highest;
    for (i32 c = 0; c < a->splits; c++) sum += f_exp(lse[c] - shift);
    f32 total = sum == 0.0f ? INFINITE : shift + f_log(sum);
    for (i32 d = 0; d < dim; d++) a->o[row * dim + d] = 0.0f;
    for (i32 c = 0; c < a->splits; c++) {
      vf weight = vf_set(f_exp(lse[c] - total));
      for (i32 d = 0; d < dim; d += 4) {
        f32 *o = a->o + row * dim + d;
        vf_put(o, vf_fma(weight, vf_get(partial + c * dim + d, dim - d, 0.0f), vf_get(o, dim - d, 0.0f)), dim - d);
      }
    }
    if (a->lse) a->lse[row] = total;
  }
}
