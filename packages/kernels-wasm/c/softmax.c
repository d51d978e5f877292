/* Softmax and its logarithm over rows, and their gradients. */
#include "rows.h"

KERNEL(softmax) {
  i32 n = a->n;
  for (i32 row = begin; row < end; row++) {
    const f32 *x = a->x + (u32)row * n;
    f32 *y = a->y + (u32)row * n;
    f32 highest = row_max(x, n);
    if (a->log) {
      /* Two subtractions: the sum of the two would swallow the logarithm where x is large. */
      f32 shift = f_log(row_exp_sum(x, n, highest));
      for (i32 i = 0; i < n; i += 4) vf_put(y + i, vf_get(x + i, n - i, 0.0f) - vf_set(highest) - vf_set(shift), n - i);
      continue;
    }
    vf sum = vf_set(0.0f), other = vf_set(0.0f), top = vf_set(highest);
    i32 i = 0;
    for (; i + 8 <= n; i += 8) {
      vf p = v_exp_negative(vf_load(x + i) - top), q = v_exp_negative(vf_load(x + i + 4) - top);
      vf_store(y + i, p), vf_store(y + i + 4, q);
      sum = sum + p, other = other + q;
    }
    for (; i < n; i += 4) {
      vf p = v_exp_negative(vf_get(x + i, n - i, -INFINITE) - top);
      vf_put(y + i, p, n - i);
      sum = sum + p;
    }
    vf scale = vf_set(1.0f / vf_sum(sum + other));
    for (i = 0; i + 16 <= n; i += 16) {
      vf y0 = vf_load(y + i), y1 = vf_load(y + i + 4), y2 = vf_load(y + i + 8), y3 = vf_load(y + i + 12);
      vf_store(y + i, y0 * scale), vf_store(y + i + 4, y1 * scale);
      vf_store(y + i + 8, y2 * scale), vf_store(y + i + 12, y3 * scale);
    }
    for (; i < n; i += 4) vf_put(y + i, vf_get(y + i, n - i, 0.0f) * scale, n - i);
  }
}

KERNEL(softmax_grad) {
  i32 n = a->n;
  for (i32 row = begin; row < end; row++) {
    const f32 *y = a->y + (u32)row * n, *dy = a->dy + (u32)row * n;
    f32 *dx = a->dx + (u32)row * n;
    if (a->log) {
      vf total = vf_set(row_sum(dy, n));
      for (i32 i = 0; i < n; i += 4)
        vf_put(dx + i, vf_get(dy + i, n - i, 0.0f) - v_exp(vf_get(y + i, n - i, 0.0f)) * total, n - i);
    } else {
      vf dot = vf_set(row_dot(y, dy, n));
      for (i32 i = 0; i < n; i += 4) vf_put(dx + i, vf_get(y + i, n - i, 0.0f) * (vf_get(dy + i, n - i, 0.0f) - dot), n - i);
    }
  }
}
