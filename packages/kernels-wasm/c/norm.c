/* Layer norm and RMS norm over rows: statistics in two passes, an optional residual added first, and the gradients. */
#include "rows.h"

INLINE vf weight_at(const f32 *weight, f32 offset, i32 i, i32 left) {
  return weight ? vf_get(weight + i, left, 0.0f) + vf_set(offset) : vf_set(1.0f);
}

ALONE void add_rows(f32 *sum, const f32 *x, const f32 *y, i32 n) {
  i32 i = 0;
  for (; i + 8 <= n; i += 8) {
    vf s0 = vf_load(x + i) + vf_load(y + i), s1 = vf_load(x + i + 4) + vf_load(y + i + 4);
    vf_store(sum + i, s0), vf_store(sum + i + 4, s1);
  }
  for (; i < n; i += 4) vf_put(sum + i, vf_get(x + i, n - i, 0.0f) + vf_get(y + i, n - i, 0.0f), n - i);
}

ALONE f32 mean_of(const f32 *x, i32 n) { return row_sum(x, n) / n; }
ALONE f32 variance_of(const f32 *x, i32 n, f32 mean) { return row_square_sum(x, n, mean) / n; }

/* y = (x - mean) inverse (weight + offset) + bias; `biased` is a constant at each call, so that the loop asks nothing. */
INLINE void affine(f32 *y, const f32 *x, const f32 *weight, const f32 *bias, i32 n, f32 mean, f32 inverse, f32 offset, i32 biased) {
  vf center = vf_set(mean), scale = vf_set(inverse), added = vf_set(offset), zero = vf_set(0.0f);
#define AFFINE(i, left) \
  vf_put(y + (i), (vf_get(x + (i), left, 0.0f) - center) * scale * (vf_get(weight + (i), left, 0.0f) + added) + \
    (biased ? vf_get(bias + (i), left, 0.0f) : zero), left);
  for (; n >= 16; n -= 16, y += 16, x += 16, weight += 16, bias += biased * 16) { AFFINE(0, 4) AFFINE(4, 4) AFFINE(8, 4) AFFINE(12, 4) }
  for (; n > 0; n -= 4, y += 4, x += 4, weight += 4, bias += biased * 4) AFFINE(0, n)
#undef AFFINE
}

ALONE void weigh(f32 *y, const f32 *x, const f32 *weight, i32 n, f32 mean, f32 inverse, f32 offset) {
  affine(y, x, weight, 0, n, mean, inverse, offset, 0);
}
ALONE void weigh_and_shift(f32 *y, const f32 *x, const f32 *weight, const f32 *bias, i32 n, f32 mean, f32 inverse, f32 offset) {
  affine(y, x, weight, bias, n, mean, inverse, offset, 1);
}

/* Without a weight. */
ALONE void shift(f32 *y, const f32 *x, const f32 *bias, i32 n, f32 mean, f32 inverse) {
  vf center = vf_set(mean), scale = vf_set(inverse);
  for (i32 i = 0; i < n; i += 4) {
    vf value = (vf_get(x + i, n - i, 0.0f) - center) * scale;
    vf_put(y + i, bias ? value + vf_get(bias + i, n - i, 0.0f) : value, n - i);
  }
}

KERNEL(norm) {
  i32 n = a->n;
  for (i32 row = begin; row < end; row++) {
    u32 at = (u32)row * n;
    const f32 *x = a->x + at;
    f32 *y = a->y + at;
    if (a->residual) add_rows(a->sum + at, x, a->residual + at, n), x = a->sum + at;
    f32 mean = a->centered ? mean_of(x, n) : 0.0f;
    f32 inverse = 1.0f / f_sqrt(variance_of(x, n, mean) + a->eps);
    if (a->mean) a->mean[row] = mean;
    if (a->inverse) a->inverse[row] = inverse;
    if (!a->weight) shift(y, x, a->bias, n, mean, inverse);
    else if (a->bias) weigh_and_shift(y, x, a->weight, a->bias, n, mean, inverse, a->weightOffset);
    else weigh(y, x, a->weight, n, mean, inverse, a->weightOffset);
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
