/* Layer norm and RMS norm over rows: statistics in two passes, an optional residual added first, and the gradients. */
#include "rows.h"

INLINE vf weight_at(const f32 *weight, f32 offset, i32 i, i32 left) {
  return weight ? vf_get(weight + i, left, 0.0f) + vf_set(offset) : vf_set(1.0f);
}

KERNEL(norm) {
  i32 n = a->n;
  for (i32 row = begin; row < end; row++) {
    u32 at = (u32)row * n;
    const f32 *x = a->x + at;
    f32 *y = a->y + at;
    if (a->residual) {
      f32 *sum = a->sum + at;
      for (i32 i = 0; i < n; i += 4)
        vf_put(sum + i, vf_get(x + i, n - i, 0.0f) + vf_get(a->residual + at + i, n - i, 0.0f), n - i);
      x = sum;
    }
    f32 mean = a->centered ? row_sum(x, n) / n : 0.0f;
    f32 inverse = 1.0f / f_sqrt(row_square_sum(x, n, mean) / n + a->eps);
    if (a->mean) a->mean[row] = mean;
    if (a->inverse) a->inverse[row] = inverse;
    vf center = vf_set(mean), scale = vf_set(inverse);
    for (i32 i = 0; i < n; i += 4) {
      vf value = (vf_get(x + i, n - i, 0.0f) - center) * scale * weight_at(a->weight, a->weightOffset, i, n - i);
      if (a->bias) value = value + vf_get(a->bias + i, n - i, 0.0f);
      vf_put(y + i, value, n - i);
    }
  }
}

KERNEL(norm_grad) {
  i32 n = a->n;
  for (i32 row = begin; row < end; row++) {
    u32 at = (u32)row * n;
    const f32 *x = a->x + at, *dy = a->dy + at;
    vf center = vf_set(a->mean && a->centered ? a->mean[row] : 0.0f), scale = vf_set(a->inverse[row]);
    vf sum = vf_set(0.0f), product = vf_set(0.0f);
    for (i32 i = 0; i < n; i += 4) {
      vf g = vf_get(dy + i, n - i, 0.0f) * weight_at(a->weight, a->weightOffset, i, n - i);
      sum = sum + g;
      product = vf_fma(g, (vf_get(x + i, n - i, 0.0f) - center) * scale, product);
    }
    vf mean_g = vf_set(a->centered ? vf_sum(sum) / n : 0.0f), mean_product = vf_set(vf_sum(product) / n);
    for (i32 i = 0; i < n; i += 4) {
      vf g = vf_get(dy + i, n - i, 0.0f) * weight_at(a->weight, a->weightOffset, i, n - i);
      vf normal = (vf_get(x + i, n - i, 0.0f) - center) * scale;
      vf value = scale * (g - mean_g - normal * mean_product);
      if (a->dsum) value = value + vf_get(a->dsum + at + i, n - i, 0.0f);
      vf_put(a->dx + at + i, value, n - i);
    }
  }
}

KERNEL(norm_weight_grad) {
  i32 n = a->n;
  for (i32 unit = begin; unit < end; unit++) {
    f32 *dweight = a->partial + (u32)unit * a->parts * n, *dbias = a->parts > 1 ? dweight + n : 0;
    for (i32 i = 0; i < a->parts * n; i++) dweight[i] = 0.0f;
    i32 last = MIN(a->rows, (unit + 1) * a->chunk);
    for (i32 row = unit * a->chunk; row < last; row++) {
      const f32 *x = a->x + (u32)row * n, *dy = a->dy + (u32)row * n;
      vf center = vf_set(a->mean ? a->mean[row] : 0.0f), scale = vf_set(a->inverse[row]);
      for (i32 i = 0; i < n; i += 4) {
        vf g = vf_get(dy + i, n - i, 0.0f), normal = (vf_get(x + i, n - i, 0.0f) - center) * scale;
        vf_put(dweight + i, vf_fma(g, normal, vf_get(dweight + i, n - i, 0.0f)), n - i);
        if (dbias) vf_put(dbias + i, vf_get(dbias + i, n - i, 0.0f) + g, n - i);
      }
    }
  }
}
