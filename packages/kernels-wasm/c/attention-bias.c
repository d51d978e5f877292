/* The gradient of a bias by distance: sums along the diagonals of blocks, then of neighbouring diagonals; no atomics, linear memory. */
#include "score-grad.h"

enum { DISTANCES = 2 * MAP_BLOCK };

/* Blocks (b, b + distance) that have a key for a query to see. */
INLINE walk walk_diagonal(const sight *s, i32 queries, i32 keys, i32 distance) {
  i32 rows = CEIL_DIV(queries, MAP_BLOCK), columns = CEIL_DIV(keys, MAP_BLOCK);
  if (s->map) return walk_list(s, MAP_DIAGONALS, rows + columns - 1, distance + rows - 1, queries);
  i32 first = MAX(0, -distance), end = MIN(rows, columns - distance);
  i32 hidden = s->causal && (distance - 1) * MAP_BLOCK + 1 > s->offset;
  return walk_all(first * MAP_BLOCK, hidden ? 0 : MIN(end * MAP_BLOCK, queries));
}

/* Sums[c - r + MAP_BLOCK - 1] += t[key r][query c]. */
INLINE void add_diagonals(f32 *sums, const f32 *t, i32 rows, i32 columns) {
  for (i32 r = 0; r < rows; r++)
    for (i32 c = 0; c < columns; c += 4) {
      f32 *at = sums + c - r;
      vf_put(at, vf_get(at, columns - c, 0.0f) + vf_get(t + r * TILE + c, columns - c, 0.0f), columns - c);
    }
}

KERNEL(attention_grad_bias) {
  f32 packed_q[MAP_BLOCK * MAX_DIM], packed_grad[MAP_BLOCK * MAX_DIM], side[BLOCK * ROW], t[BLOCK * TILE], d[BLOCK * TILE], z[BLOCK * TILE], sums[DISTANCES];
  i32 blocks = CEIL_DIV(a->queries, MAP_BLOCK), diagonals = blocks + CEIL_DIV(a->keys, MAP_BLOCK) - 1;
  for (i32 unit = begin; unit < end; unit++) {
    i32 head = unit / diagonals, distance = unit % diagonals - blocks + 1, kv = head / (a->heads / a->kvHeads);
    for (i32 i = 0; i < DISTANCES; i += 4) vf_store(sums + i, vf_set(0.0f));
    sight s;
    for (i32 batch = 0; batch < a->batch; batch++) {
      const f32 *k = a->k + batch * a->kBatch + kv * a->kHead, *v = a->v + batch * a->vBatch + kv * a->vHead;
      s = SIGHT_OF(a, batch, head);
      span over;
      walk w = walk_diagonal(&s, a->queries, a->keys, distance);
      while (next_span(&w, &over))
        for (i32 query = over.from; query < over.to; query += MAP_BLOCK) {
          i32 columns = MIN(MAP_BLOCK, a->queries - query), row = (batch * a->heads + head) * a->queries + query;
          i32 first = query + distance * MAP_BLOCK, last = MIN(a->keys, first + MAP_BLOCK);
          pack_rows(packed_q, a->q + batch * a->qBatch + head * a->qHead + query * a->qRow, a->qRow, columns, a->dim, a->scale);
          pack_rows(packed_grad, a->grad + row * a->valueDim, a->valueDim, columns, a->valueDim, 1.0f);
          for (i32 key = first; key < last; key += BLOCK) {
            i32 rows = MIN(BLOCK, last - key);
            copy_rows(side, k + key * a->kRow, a->kRow, rows, a->dim);
            score_tile(t, side, rows, packed_q, columns, a->dim);
            look(t, 0, &s, &over, rows, columns, query, key, 0);
            copy_rows(side, v + key * a->vRow, a->vRow, rows, a->valueDim);
            score_tile(d, side, rows, packed_grad, columns, a->valueDim);
            if (s.kept != 0.0f) draw_tile(z, &s, rows, columns, query, key, 0), multiply_tile(d, z, rows, columns);
            score_grad_columns(t, d, a->lse + row, a->delta + row, rows, columns);
            add_diagonals(sums + MAP_BLOCK - 1 - (key - first), t, rows, columns);
          }
        }
    }
    for (i32 i = 0; i < DISTANCES; i += 4) vf_store(a->partial + unit * DISTANCES + i, vf_load(sums + i));
  }
}

KERNEL(attention_bias_sum) {
  i32 blocks = CEIL_DIV(a->queries, MAP_BLOCK), diagonals = a->queries && a->keys ? blocks + CEIL_DIV(a->keys, MAP_BLOCK) - 1 : 0;
  i32 entries = 2 * a->reach + 1;
  f32 sound = map_fits(a->map, a->queries, a->keys);
  for (i32 head = begin; head < end; head++) {
    f32 *out = a->dbias + head * entries;
    for (i32 i = 0; i < entries; i++) out[i] = 0.0f;
    for (i32 diagonal = 0; diagonal < diagonals; diagonal++) {
      const f32 *sums = a->partial + (head * diagonals + diagonal) * DISTANCES;
      i32 nearest = (diagonal - blocks + 1) * MAP_BLOCK - (a->keys - a->queries) + MAP_BLOCK - 1;
      for (i32 i = 0; i < DISTANCES - 1; i++) out[MAX(-a->reach, MIN(a->reach, nearest - i)) + a->reach] += sums[i] * sound;
    }
  }
}
