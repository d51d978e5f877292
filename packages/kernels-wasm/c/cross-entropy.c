/* Cross-entropy from logits and class numbers, without storing probabilities. */
#include "rows.h"

INLINE i32 target_of(i32 target, i32 n) { return MAX(0, MIN(target, n - 1)); }

KERNEL(cross_entropy) {
  i32 n = a->n;
  for (i32 row = begin; row < end; row++) {
    const f32 *x = a->logits + (u32)row * n;
    f32 highest = row_max(x, n), lse = highest + f_log(row_exp_sum(x, n, highest));
    i32 target = a->targets[row];
    a->lse[row] = lse;
    a->loss[row] = target == a->ignore ? 0.0f : lse - x[target_of(target, n)];
  }
}

KERNEL(cross_entropy_grad) {
  i32 n = a->n;
  for (i32 row = begin; row < end; row++) {
    const f32 *x = a->logits + (u32)row * n;
    f32 *dx = a->dlogits + (u32)row * n;
    i32 target = a->targets[row];
    f32 dloss = a->dloss && target != a->ignore ? a->dloss[row] : 0.0f;
    f32 weight = dloss + (a->dlse ? a->dlse[row] : 0.0f);
    vf scale = vf_set(weight), lse = vf_set(a->lse[row]);
    if (weight == 0.0f)
      for (i32 i = 0; i < n; i += 4) vf_put(dx + i, vf_set(0.0f), n - i);
    else
      for (i32 i = 0; i < n; i += 4) vf_put(dx + i, v_exp(vf_get(x + i, n - i, 0.0f) - lse) * scale, n - i);
    if (dloss != 0.0f) dx[target_of(target, n)] -= dloss;
  }
}
