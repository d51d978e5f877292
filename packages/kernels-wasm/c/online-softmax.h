/* The running softmax of a tile of queries: highest score, sum and unnormalised output of each. */
#ifndef ONLINE_SOFTMAX_H
#define ONLINE_SOFTMAX_H
#include "attention.h"

typedef struct {
  f32 highest[TILE], sum[TILE];
  f32 out[(TILE + MR) * MAX_DIM];
} running;

INLINE void start(running *s, i32 columns, i32 dim) {
  for (i32 c = 0; c < TILE; c++) s->highest[c] = -INFINITE, s->sum[c] = 0.0f;
  clear(s->out, columns, dim);
}

/* Turns scores t[key][query] into probabilities relative to the new highest, and rescales what was summed before. */
INLINE void absorb(running *s, f32 *t, i32 keys, i32 columns, i32 dim) {
  f32 factor[TILE];
  for (i32 c = 0; c < columns; c += 4) {
    vf old = vf_load(s->highest + c), top = old, sum = vf_set(0.0f);
    for (i32 r = 0; r < keys; r++) top = vf_at_least(top, vf_load(t + r * TILE + c));
    vf shift = vf_select(top == vf_set(-INFINITE), vf_set(0.0f), top);
    for (i32 r = 0; r < keys; r++) {
      vf p = v_exp_negative(vf_load(t + r * TILE + c) - shift);
      vf_store(t + r * TILE + c, p);
      sum = sum + p;
    }
    vf alpha = v_exp_negative(old - shift);
    vf_store(factor + c, alpha);
    vf_store(s->sum + c, vf_fma(vf_load(s->sum + c), alpha, sum));
    vf_store(s->highest + c, top);
  }
  for (i32 d = 0; d < dim; d += NR)
    for (i32 c = 0; c < columns; c++) {
      f32 *out = s->out + place(c, d);
      vf scale = vf_set(factor[c]);
      vf_store(out, vf_load(out) * scale), vf_store(out + 4, vf_load(out + 4) * scale);
    }
}

/* One query's output and log-sum-exp; `empty` is the log-sum-exp of a row that saw nothing, whose output is 0; `sound` multiplies both. */
INLINE void finish_row(const running *s, i32 c, f32 *o, f32 *lse, i32 dim, f32 empty, f32 sound) {
  f32 sum = s->sum[c];
  vf scale = vf_set((sum == 0.0f ? 0.0f : 1.0f / sum) * sound);
  for (i32 d = 0; d < dim; d += 4) vf_put(o + d, vf_load(s->out + place(c, d)) * scale, dim - d);
  *lse = (sum == 0.0f ? empty : s->highest[c] + f_log(sum)) * sound;
}

#endif
