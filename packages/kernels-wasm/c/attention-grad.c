/*
 * Flash attention backward by recomputation from the log-sum-exp, in one pass of five products a tile: a unit takes every `parts`-th tile of keys
 * of a head of keys, finishes dk and dv of each, and adds up a dq of its own; attention_grad_sum adds the parts in their order. No atomics.
 */
#include "rows.h"
#include "score-grad.h"

KERNEL(attention_delta) {
  for (i32 row = begin; row < end; row++) {
    u32 at = (u32)row * a->valueDim;
    a->delta[row] = row_dot(a->o + at, a->grad + at, a->valueDim) - (a->dlse ? a->dlse[row] : 0.0f);
  }
}

/* A row of a gradient; that of a key beyond the length is zero. */
INLINE void store_row(f32 *out, const f32 *sums, i32 column, i32 exists, f32 scale, i32 dim) {
  for (i32 i = 0; i < dim; i += 4) vf_put(out + i, exists ? vf_load(sums + place(column, i)) * vf_set(scale) : vf_set(0.0f), dim - i);
}

/* dq[row][d] += scale sum over columns of t[row][column] k[column][d], k copied. */
INLINE void add_to_queries(f32 *dq, const f32 *t, i32 rows, const f32 *k, i32 columns, f32 scale, i32 dim) {
  f32 product[BLOCK * ROW];
  for (i32 d = 0; d < dim; d += NR)
    for (i32 row = 0; row < rows; row += MR) multiply_rows(product + row * ROW + d, t + row * TILE, k + d, columns);
  for (i32 row = 0; row < rows; row++, dq += dim)
    for (i32 d = 0; d < dim; d += 4) vf_put(dq + d, vf_fma(vf_load(product + row * ROW + d), vf_set(scale), vf_get(dq + d, dim - d, 0.0f)), dim - d);
}

KERNEL(attention_grad) {
  f32 packed_k[TILE * MAX_DIM], packed_v[TILE * MAX_DIM], rows_of_k[TILE * ROW], rows_of_q[BLOCK * ROW], rows_of_grad[BLOCK * ROW];
  f32 t[BLOCK * TILE], d[BLOCK * TILE], slope[BLOCK * TILE], z[BLOCK * TILE];
  f32 dk[(TILE + MR) * MAX_DIM], dv[(TILE + MR) * MAX_DIM];
  i32 tiles = CEIL_DIV(a->keys, a->kTile), group = a->heads / a->kvHeads;
  for (i32 unit = begin; unit < end; unit++) {
    i32 part = unit % a->parts, kv = unit / a->parts % a->kvHeads, batch = unit / a->parts / a->kvHeads;
    sight s = SIGHT_OF(a, batch, kv * group);
    i32 heads = batch * a->heads + kv * group;
    f32 *dq = a->dq + part * a->partSize;
    for (i32 i = heads * a->queries * a->dim; i < (heads + group) * a->queries * a->dim; i++) dq[i] = 0.0f * s.sound;
    for (i32 tile = part; tile < tiles; tile += a->parts) {
      i32 key = tile * a->kTile, all = MIN(a->kTile, a->keys - key), columns = MIN(all, s.keys - key);
      clear(dk, all, a->dim);
      clear(dv, all, a->valueDim);
      if (columns > 0) {
        const f32 *k = a->k + batch * a->kBatch + kv * a->kHead + key * a->kRow;
        pack_rows(packed_k, k, a->kRow, columns, a->dim, a->scale);
        pack_rows(packed_v, a->v + batch * a->vBatch + kv * a->vHead + key * a->vRow, a->vRow, columns, a->valueDim, 1.0f);
        copy_rows(rows_of_k, k, a->kRow, columns, a->dim);
        i32 first = s.causal ? MAX(0, key - s.offset) : 0;
        for (i32 head = kv * group; head < (kv + 1) * group; head++) {
          const f32 *q = a->q + batch * a->qBatch + head * a->qHead;
          s = SIGHT_OF(a, batch, head);
          span over;
          walk w = s.map ? walk_list(&s, MAP_COLUMNS, tiles, tile, a->queries) : walk_all(first, a->queries);
          while (next_span(&w, &over))
            for (i32 query = over.from, rows; query < over.to; query += rows) {
              rows = rows_of(&over, query, BLOCK);
              i32 row = (batch * a->heads + head) * a->queries + query;
              copy_rows(rows_of_q, q + query * a->qRow, a->qRow, rows, a->dim);
              copy_rows(rows_of_grad, a->grad + row * a->valueDim, a->valueDim, rows, a->valueDim);
              score_tile(t, rows_of_q, rows, packed_k, columns, a->dim);
              look(t, slope, &s, &over, rows, columns, query, key, 1);
              score_tile(d, rows_of_grad, rows, packed_v, columns, a->valueDim);
              if (s.kept != 0.0f) draw_tile(z, &s, rows, columns, query, key, 1), multiply_tile(d, z, rows, columns);
              score_grad_rows(t, d, a->lse + row, a->delta + row, rows, columns);
              if (s.kept != 0.0f) multiply_tile(t, z, rows, columns);
              if (s.softcap != 0.0f) multiply_tile(d, slope, rows, columns);
              add_product(dv, t, columns, rows_of_grad, rows, a->valueDim);
              add_product(dk, d, columns, rows_of_q, rows, a->dim);
              add_to_queries(dq + row * a->dim, d, rows, rows_of_k, columns, a->scale, a->dim);
            }
        }
      }
      i32 at = (batch * a->kvHeads + kv) * a->keys + key;
      for (i32 c = 0; c < all; c++) {
        store_row(a->dk + (at + c) * a->dim, dk, c, c < columns, a->scale * s.sound, a->dim);
        store_row(a->dv + (at + c) * a->valueDim, dv, c, c < columns, s.sound, a->valueDim);
      }
    }
  }
}

KERNEL(attention_grad_sum) {
  i32 dim = a->dim;
  for (i32 at = begin * dim; at < end * dim; at += 4) {
    vf sum = vf_set(0.0f);
    for (i32 part = 0; part < a->parts; part++) sum = sum + vf_get(a->dqs + part * a->partSize + at, end * dim - at, 0.0f);
    vf_put(a->dq + at, sum, end * dim - at);
  }
}
