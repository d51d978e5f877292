/* From scores and dP to dS, by tiles. */
#ifndef SCORE_GRAD_H
#define SCORE_GRAD_H
#include "attention.h"

/* t[key][query] from scores to the gradient of what softmax is taken of, given dP in d. */
INLINE void score_grad_columns(f32 *t, const f32 *d, const f32 *lse, const f32 *delta, i32 rows, i32 columns) {
  for (i32 c = 0; c < columns; c += 4) {
    vf shift = vf_get(lse + c, columns - c, INFINITE), mean = vf_get(delta + c, columns - c, 0.0f);
    for (i32 at = c; at < rows * TILE + c; at += TILE)
      vf_store(t + at, v_exp_negative(vf_load(t + at) - shift) * (vf_load(d + at) - mean));
  }
}

/* t[query][key] from scores to probabilities, d from dP to the gradient of what softmax is taken of. */
INLINE void score_grad_rows(f32 *t, f32 *d, const f32 *lse, const f32 *delta, i32 rows, i32 columns) {
  for (i32 r = 0; r < rows; r++) {
    vf shift = vf_set(lse[r]), mean = vf_set(delta[r]);
    for (i32 at = r * TILE; at < r * TILE + columns; at += 4) {
      vf p = v_exp_negative(vf_load(t + at) - shift);
      vf_store(t + at, p);
      vf_store(d + at, p * (vf_load(d + at) - mean));
    }
  }
}

#endif
