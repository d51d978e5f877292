/* AdamW, the whole update of a parameter in one pass. Scalars are computed in f64, as PyTorch does on the host. */
#include "vec.h"

/* e^x - 1 for x <= 0: the series on x halved until it is small, then doubled back by (e + 2) e. */
static f64 expm1_f64(f64 x) {
  if (x < -50.0) return -1.0;
  i32 halvings = 0;
  for (; x < -0.25; halvings++) x *= 0.5;
  f64 e = 0.0;
  for (f64 k = 14.0; k >= 1.0; k -= 1.0) e = (e + 1.0) * x / k;
  for (; halvings > 0; halvings--) e = e * (e + 2.0);
  return e;
}

KERNEL(adamw) {
  i32 first = begin * a->chunk, last = MIN(a->count, end * a->chunk);
  if (a->skip && a->skip[0]) {
    for (i32 i = first; i < last; i++) a->outParam[i] = a->param[i], a->outM[i] = a->m[i], a->outV[i] = a->v[i];
    return;
  }
  f64 lr = a->lr[0], step = a->step[0];
  f64 correction1 = -expm1_f64(step * ((f64)a->lnBeta1 + (f64)a->lnBeta1Low));
  f64 correction2 = -expm1_f64(step * ((f64)a->lnBeta2 + (f64)a->lnBeta2Low));
  vf decay = vf_set((f32)(1.0 - lr * a->weightDecay)), rate = vf_set((f32)(lr / correction1));
  vf root = vf_set((f32)__builtin_sqrt(correction2)), eps = vf_set(a->eps), beta2 = vf_set(a->beta2);
  vf add1 = vf_set(a->oneMinusBeta1), add2 = vf_set(a->oneMinusBeta2), scale = vf_set(a->scale ? a->scale[0] : 1.0f);
  for (i32 i = first; i < last; i += 4) {
    i32 left = last - i;
    vf g = vf_get(a->grad + i, left, 0.0f) * scale, m = vf_get(a->m + i, left, 0.0f), v = vf_get(a->v + i, left, 0.0f);
    m = m + add1 * (g - m);
    v = v * beta2 + add2 * (g * g);
    vf p = vf_get(a->param + i, left, 0.0f) * decay - rate * (m / (vf_sqrt(v) / root + eps));
    vf_put(a->outM + i, m, left);
    vf_put(a->outV + i, v, left);
    vf_put(a->outParam + i, p, left);
  }
}
