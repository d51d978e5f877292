/* Flash attention backward by recomputation from the log-sum-exp: dq by query tiles, dk and dv by key tiles, no atomics. */
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

KERNEL(attention_grad_q) {
  f32 packed_q[TILE * MAX_DIM], packed_grad[TILE * MAX_DIM], t[BLOCK * TILE], d[BLOCK * TILE], e[BLOCK * TILE], dq[(TILE + MR) * MAX_DIM];
  i32 tiles = CEIL_DIV(a->queries, a->qTile);
  for (i32 unit = begin; unit < end; unit++) {
    i32 query = unit % tiles * a->qTile, head = unit / tiles % a->heads, batch = unit / tiles / a->heads;
    i32 kv = head / (a->heads / a->kvHeads), columns = MIN(a->qTile, a->queries - query);
    i32 row = (batch * a->heads + head) * a->queries + query;
    const f32 *k = a->k + batch * a->kBatch + kv * a->kHead, *v = a->v + batch * a->vBatch + kv * a->vHead;
    sight s = SIGHT_OF(a, batch, head);
    span over;
    walk w = s.map ? walk_list(&s, MAP_ROWS, tiles, unit % tiles, s.keys) : walk_all(0, s.causal ? MIN(s.keys, query + columns + s.offset) : s.keys);
    pack_rows(packed_q, a->q + batch * a->qBatch + head * a->qHead + query * a->qRow, a->qRow, columns, a->dim, a->scale);
    pack_rows(packed_grad, a->grad + row * a->valueDim, a->valueDim, columns, a->valueDim, 1.0f);
    clear(dq, columns, a->dim);
    while (next_span(&w, &over))
      for (i32 key = over.from, rows; key < over.to; key += rows) {
        rows = rows_of(&over, key, BLOCK);
        score_tile(d, v + key * a->vRow, a->vRow, rows, packed_grad, columns, a->valueDim);
        if (s.kept != 0.0f) draw_tile(e, &s, rows, columns, query, key, 0), multiply_tile(d, e, rows, columns);
        score_tile(t, k + key * a->kRow, a->kRow, rows, packed_q, columns, a->dim);
        look(t, e, &s, &over, rows, columns, query, key, 0);
        score_grad_columns(t, d, a->lse + row, a->delta + row, rows, columns);
        if (s.softcap != 0.0f) multiply_tile(t, e, rows, columns);
        add_product(dq, t, columns, k + key * a->kRow, a->kRow, rows, a->dim);
      }
    for (i32 c = 0; c < columns; c++) store_row(a->dq + (row + c) * a->dim, dq, c, 1, a->scale * s.sound, a->dim);
  }
}

KERNEL(attention_grad_kv) {
  f32 packed_k[TILE * MAX_DIM], packed_v[TILE * MAX_DIM];
  f32 t[BLOCK * TILE], d[BLOCK * TILE], slope[BLOCK * TILE], z[BLOCK * TILE];
  f32 dk[(TILE + MR) * MAX_DIM], dv[(TILE + MR) * MAX_DIM];
  i32 tiles = CEIL_DIV(a->keys, a->kTile), group = a->heads / a->kvHeads;
  for (i32 unit = begin; unit < end; unit++) {
    i32 key = unit % tiles * a->kTile, kv = unit / tiles % a->kvHeads, batch = unit / tiles / a->kvHeads;
    i32 all = MIN(a->kTile, a->keys - key);
    clear(dk, all, a->dim);
    clear(dv, all, a->valueDim);
    sight s = SIGHT_OF(a, batch, kv * group);
    i32 columns = MIN(all, s.keys - key);
    if (columns > 0) {
      pack_rows(packed_k, a->k + batch * a->kBatch + kv * a->kHead + key * a->kRow, a->kRow, columns, a->dim, a->scale);
      pack_rows(packed_v, a->v + batch * a->vBatch + kv * a->vHead + key * a->vRow, a->vRow, columns, a->valueDim, 1.0f);
      i32 first = s.causal ? MAX(0, key - s.offset) : 0;
      for (i32 head = kv * group; head < (kv + 1) * group; head++) {
        const f32 *q = a->q + batch * a->qBatch + head * a->qHead;
        s = SIGHT_OF(a, batch, head);
        span over;
        walk w = s.map ? walk_list(&s, MAP_COLUMNS, tiles, unit % tiles, a->queries) : walk_all(first, a->queries);
        while (next_span(&w, &over))
          for (i32 query = over.from, rows; query < over.to; query += rows) {
            rows = rows_of(&over, query, BLOCK);
            i32 row = (batch * a->heads + head) * a->queries + query;
            const f32 *grad = a->grad + row * a->valueDim;
            score_tile(t, q + query * a->qRow, a->qRow, rows, packed_k, columns, a->dim);
            look(t, slope, &s, &over, rows, columns, query, key, 1);
            score_tile(d, grad, a->valueDim, rows, packed_v, columns, a->valueDim);
            if (s.kept != 0.0f) draw_tile(z, &s, rows, columns, query, key, 1), multiply_tile(d, z, rows, columns);
            score_grad_rows(t, d, a->lse + row, a->delta + row, rows, columns);
            if (s.kept != 0.0f) multiply_tile(t, z, rows, columns);
            if (s.softcap != 0.0f) multiply_tile(d, slope, rows, columns);
            add_product(dv, t, columns, grad, a->valueDim, rows, a->valueDim);
            add_product(dk, d, columns, q + query * a->qRow, a->qRow, rows, a->dim);
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
