/* Flash attention forward (FlashAttention-2 ordering, https://arxiv.org/abs/2307.08691): a tile of queries against all keys it sees. */
#include "online-softmax.h"

KERNEL(attention) {
  running state;
  f32 packed[TILE * MAX_DIM], side[BLOCK * ROW], t[BLOCK * TILE], z[BLOCK * TILE];
  i32 tiles = CEIL_DIV(a->queries, a->qTile);
  for (i32 unit = begin; unit < end; unit++) {
    i32 query = unit % tiles * a->qTile, head = unit / tiles % a->heads, batch = unit / tiles / a->heads;
    i32 kv = head / (a->heads / a->kvHeads), columns = MIN(a->qTile, a->queries - query);
    const f32 *k = a->k + batch * a->kBatch + kv * a->kHead, *v = a->v + batch * a->vBatch + kv * a->vHead;
    sight s = SIGHT_OF(a, batch, head);
    span over;
    walk w = s.map ? walk_list(&s, MAP_ROWS, tiles, unit % tiles, s.keys) : walk_all(0, s.causal ? MIN(s.keys, query + columns + s.offset) : s.keys);
    pack_rows(packed, a->q + batch * a->qBatch + head * a->qHead + query * a->qRow, a->qRow, columns, a->dim, a->scale);
    start(&state, columns, a->valueDim);
    while (next_span(&w, &over))
      for (i32 key = over.from, rows; key < over.to; key += rows) {
        rows = rows_of(&over, key, BLOCK);
        copy_rows(side, k + key * a->kRow, a->kRow, rows, a->dim);
        score_tile(t, side, rows, packed, columns, a->dim);
        look(t, 0, &s, &over, rows, columns, query, key, 0);
        absorb(&state, t, rows, columns, a->valueDim);
        if (s.kept != 0.0f) draw_tile(z, &s, rows, columns, query, key, 0), multiply_tile(t, z, rows, columns);
        copy_rows(side, v + key * a->vRow, a->vRow, rows, a->valueDim);
        add_product(state.out, t, columns, side, rows, a->valueDim);
      }
    i32 row = (batch * a->heads + head) * a->queries + query;
    for (i32 c = 0; c < columns; c++)
      finish_row(&state, c, a->o + (row + c) * a->valueDim, a->lse + row + c, a->valueDim, INFINITE, s.sound);
  }
}
