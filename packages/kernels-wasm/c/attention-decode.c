/* Attention of few queries over a cache: each unit takes the query heads of one key head over one chunk of keys; then the ordered merge. */
#include "online-softmax.h"

KERNEL(attention_decode) {
  running state;
  f32 packed[TILE * MAX_DIM], rows_of_q[TILE * MAX_DIM], t[BLOCK * TILE];
  i32 group = a->heads / a->kvHeads, columns = group * a->queries;
  for (i32 unit = begin; unit < end; unit++) {
    i32 split = unit % a->splits, kv = unit / a->splits % a->kvHeads, batch = unit / a->splits / a->kvHeads;
    i32 keys = a->lengths ? MAX(0, MIN(a->lengths[batch], a->keys)) : a->keys, offset = keys - a->queries;
    i32 last = MIN(keys, (split + 1) * a->chunk);
    const f32 *k = a->k + batch * a->kBatch + kv * a->kHead, *v = a->v + batch * a->vBatch + kv * a->vHead;
    for (i32 c = 0; c < columns; c++) {
      const f32 *q = a->q + batch * a->qBatch + (kv * group + c / a->queries) * a->qHead + c % a->queries * a->qRow;
      for (i32 d = 0; d < a->dim; d++) rows_of_q[c * a->dim + d] = q[d];
    }
    pack_rows(packed, rows_of_q, a->dim, columns, a->dim, a->scale);
    start(&state, columns, a->valueDim);
    for (i32 key = split * a->chunk; key < last; key += BLOCK) {
      i32 rows = MIN(BLOCK, last - key);
      score_tile(t, k + key * a->kRow, a->kRow, rows, packed, columns, a->dim);
      const u8 *mask = a->keyMask ? a->keyMask + batch * a->keys + key : 0;
      if (mask || (a->causal && key + rows - 1 > offset))
        for (i32 r = 0; r < rows; r++)
          for (i32 c = 0; c < columns; c++)
            if ((mask && !mask[r]) || (a->causal && key + r > c % a->queries + offset)) t[r * TILE + c] = -INFINITE;
      absorb(&state, t, rows, columns, a->valueDim);
      add_product(state.out, t, columns, v + key * a->vRow, a->vRow, rows, a->valueDim);
    }
    for (i32 c = 0; c < columns; c++) {
      i32 at = ((batch * a->heads + kv * group) * a->queries + c) * a->splits + split;
      finish_row(&state, c, a->o + at * a->valueDim, a->lse + at, a->valueDim, -INFINITE, 1.0f);
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
