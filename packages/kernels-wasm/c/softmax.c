/* Softmax and its logarithm over rows, and their gradients. */
#include "rows.h"

/* y = e^(x - highest); their sum. */
ALONE f32 exp_row(f32 *y, const f32 *x, i32 n, f32 highest) {
  vf sum = vf_set(0.0f), top = vf_set(highest);
  for (; n >= 8; n -= 8, x += 8, y += 8) {
    vf p = v_exp_negative(vf_load(x) - top);
    vf_store(y, p);
    vf q = v_exp_negative(vf_load(x + 4) - top);
    vf_store(y + 4, q);
    sum = sum + (p + q);
  }
  for (; n > 0; n -= 4, x += 4, y += 4) {
    vf p = v_exp_negative(vf_get(x, n, -INFINITE) - top);
    vf_put(y, p, n);
    sum = sum + p;
  }
  return vf_sum(sum);
}

ALONE void scale_row(f32 *y, i32 n, f32 factor) {
  vf scale = vf_set(factor);
  for (; n >= 16; n -= 16, y += 16) {
    vf_store(y, vf_load(y) * scale), vf_store(y + 4, vf_load(y + 4) * scale);
    vf_store(y + 8, vf_load(y + 8) * scale), vf_store(y + 12, vf_load(y + 12) * scale);
  }
  for (; n > 0; n -= 4, y += 4) vf_put(y, vf_get(y, n, 0.0f) * scale, n);
}

ALONE f32 highest_of(const f32 *x, i32 n) { return row_max(x, n); }

KERNEL(softmax) {
  i32 n = a->n;
  for (i32 row = begin; row < end; row++) {
    const f32 *x = a->x + (u32)row * n;
    f32 *y = a->y + (u32)row * n;
    f32 highest = highest_of(x, n);
    if (a->log) {
      /* Two subtractions: the sum of the two would swallow the logarithm where x is large. */
      f32 shift = f_log(row_exp_sum(x, n, highest));
      for (i32 i = 0; i < n; i += 4) vf_put(y + i, vf_get(x + i, n - i, 0.0f) - vf_set(highest) - vf_set(shift), n - i);
    } else {
      scale_row(y, n, 1.0f / exp_row(y, x, n, highest));
    }
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
