/* Sums and extremes of a contiguous row. */
#ifndef ROWS_H
#define ROWS_H
#include "vmath.h"

/* A loop out of line, so that V8 allots registers to it alone. */
#define ALONE static __attribute__((noinline))

/* The loop that all of these share: four accumulators, so that no sum waits for the last; the rest goes into the first. */
#define OVER_ROW(n, step) \
  i32 i = 0; \
  for (; i + 16 <= n; i += 16) { step(s0, i, 4) step(s1, i + 4, 4) step(s2, i + 8, 4) step(s3, i + 12, 4) } \
  for (; i < n; i += 4) step(s0, i, n - i)

/* Passes over NaN: what is computed from the largest meets them again. */
INLINE f32 row_max(const f32 *x, i32 n) {
  vf s0 = vf_set(-INFINITE), s1 = s0, s2 = s0, s3 = s0;
  for (; n >= 16; n -= 16, x += 16) {
    s0 = vf_at_least(s0, vf_load(x)), s1 = vf_at_least(s1, vf_load(x + 4));
    s2 = vf_at_least(s2, vf_load(x + 8)), s3 = vf_at_least(s3, vf_load(x + 12));
  }
  for (; n > 0; n -= 4, x += 4) s0 = vf_at_least(s0, vf_get(x, n, -INFINITE));
  return vf_highest(vf_at_least(vf_at_least(s0, s1), vf_at_least(s2, s3)));
}

INLINE f32 row_sum(const f32 *x, i32 n) {
  vf s0 = vf_set(0.0f), s1 = s0, s2 = s0, s3 = s0;
#define STEP(s, at, left) s = s + vf_get(x + (at), left, 0.0f);
  OVER_ROW(n, STEP)
#undef STEP
  return vf_sum((s0 + s1) + (s2 + s3));
}

INLINE f32 row_dot(const f32 *x, const f32 *y, i32 n) {
  vf s0 = vf_set(0.0f), s1 = s0, s2 = s0, s3 = s0;
#define STEP(s, at, left) s = vf_fma(vf_get(x + (at), left, 0.0f), vf_get(y + (at), left, 0.0f), s);
  OVER_ROW(n, STEP)
#undef STEP
  return vf_sum((s0 + s1) + (s2 + s3));
}

/* The sum of (x - center)^2. */
INLINE f32 row_square_sum(const f32 *x, i32 n, f32 center) {
  vf s0 = vf_set(0.0f), s1 = s0, s2 = s0, s3 = s0, c = vf_set(center), d;
#define STEP(s, at, left) d = vf_get(x + (at), left, center) - c, s = vf_fma(d, d, s);
  OVER_ROW(n, STEP)
#undef STEP
  return vf_sum((s0 + s1) + (s2 + s3));
}

/* The sum of e^(x - highest). */
INLINE f32 row_exp_sum(const f32 *x, i32 n, f32 highest) {
  vf s0 = vf_set(0.0f), s1 = s0, s2 = s0, s3 = s0, top = vf_set(highest);
#define STEP(s, at, left) s = s + v_exp_negative(vf_get(x + (at), left, -INFINITE) - top);
  OVER_ROW(n, STEP)
#undef STEP
  return vf_sum((s0 + s1) + (s2 + s3));
}

#endif
