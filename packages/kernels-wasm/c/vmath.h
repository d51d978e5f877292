/* Elementary functions on vectors of four floats; the errors stand beside each, measured by test/math.test.ts. */
#ifndef VMATH_H
#define VMATH_H
#include "vec.h"

/* 2^n for whole n in [-126, 127] held as a float plus 1.5 * 2^23. */
INLINE vf v_exponent(vf magic) { return (vf)(((vi)magic + vi_set(127)) << 23); }

#define MAGIC 12582912.0f
#define LOG2E 1.44269504f
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f

/* e^r - 1 - r over r^2 for |r| <= ln 2 / 2. */
INLINE vf v_exp_tail(vf r) {
  vf p = vf_fma(vf_constant(1.9875691500e-4f), r, vf_constant(1.3981999507e-3f));
  p = vf_fma(p, r, vf_constant(8.3334519073e-3f));
  p = vf_fma(p, r, vf_constant(4.1665795894e-2f));
  p = vf_fma(p, r, vf_constant(1.6666665459e-1f));
  return vf_fma(p, r, vf_constant(5.0000001201e-1f));
}

/* 1.5 * 2^23 + 127: adding it rounds to a whole number, and leaves that with the bias of an exponent in the low bits. */
#define MAGIC_BIASED 12583039.0f

/* e^x for x <= 0, to 1 ulp; below -87.7, where the factor 2^n has the bits of 0, exactly 0; NaN stays. */
INLINE vf v_exp_negative(vf x) {
  vf clamped = vf_at_least(x, vf_constant(-88.0f));
  vf n = vf_fma(clamped, vf_constant(LOG2E), vf_constant(MAGIC_BIASED));
  vf k = n - vf_constant(MAGIC_BIASED);
  vf r = vf_fma(k, vf_constant(-LN2_LOW), vf_fma(k, vf_constant(-LN2_HIGH), clamped));
  vf p = vf_fma(vf_constant(1.381459879e-3f), r, vf_constant(8.368716575e-3f));
  p = vf_fma(p, r, vf_constant(4.166838899e-2f));
  p = vf_fma(p, r, vf_constant(1.666652113e-1f));
  p = vf_fma(p, r, vf_constant(4.999999404e-1f));
  p = vf_fma(p, r, vf_constant(1.0f));
  vf power = (vf)((vi)n << 23);
  return vf_fma(r * power, p, power);
}

/* e^x to 1 ulp over the whole range, denormal results included; overflows to infinity; NaN stays. */
INLINE vf v_exp(vf x) {
  vf clamped = vf_at_most(vf_at_least(x, vf_constant(-104.0f)), vf_constant(89.0f));
  vf n = vf_fma(clamped, vf_constant(LOG2E), vf_constant(MAGIC));
  vf k = n - vf_constant(MAGIC);
  vf r = vf_fma(k, vf_constant(-LN2_LOW), vf_fma(k, vf_constant(-LN2_HIGH), clamped));
  vf y = vf_fma(v_exp_tail(r), r * r, r) + vf_constant(1.0f);
  vi whole = (vi)n - (vi)vf_constant(MAGIC);
  vi half = whole >> 1;
  vf low = (vf)((half + vi_set(127)) << 23), high = (vf)((whole - half + vi_set(127)) << 23);
  return y * low * high;
}

/* Natural logarithm to 1 ulp; log 0 = -inf, of a negative NaN. */
INLINE vf v_log(vf x) {
  vi tiny = x < vf_constant(1.17549435e-38f);
  vf scaled = vf_select(tiny, x * vf_constant(8388608.0f), x);
  vi bits = (vi)scaled;
  vi exponent = (bits >> 23) - vi_set(126) - (tiny & vi_set(23));
  vf m = (vf)((bits & vi_set(0x007fffff)) | vi_set(0x3f000000));
  vi small = m < vf_constant(0.70710678f);
  exponent += small;
  m = m + (vf)(small & (vi)m) - vf_constant(1.0f);
  vf e = __builtin_convertvector(exponent, vf);
  vf p = vf_fma(vf_constant(7.0376836292e-2f), m, vf_constant(-1.1514610310e-1f));
  p = vf_fma(p, m, vf_constant(1.1676998740e-1f));
  p = vf_fma(p, m, vf_constant(-1.2420140846e-1f));
  p = vf_fma(p, m, vf_constant(1.4249322787e-1f));
  p = vf_fma(p, m, vf_constant(-1.6668057665e-1f));
  p = vf_fma(p, m, vf_constant(2.0000714765e-1f));
  p = vf_fma(p, m, vf_constant(-2.4999993993e-1f));
  p = vf_fma(p, m, vf_constant(3.3333331174e-1f));
  vf square = m * m;
  vf y = vf_fma(e, vf_constant(LN2_LOW), m * square * p);
  y = vf_fma(square, vf_constant(-0.5f), y);
  y = vf_fma(e, vf_constant(LN2_HIGH), m + y);
  y = vf_select(x == vf_constant(INFINITE), x, y);
  y = vf_select(x == vf_constant(0.0f), vf_constant(-INFINITE), y);
  return vf_select((x < vf_constant(0.0f)) | (x != x), vf_constant(__builtin_nanf("")), y);
}

/* 1 / (1 + e^-x), to 2.5 ulp; below 2^-127.5 there is 0. -x = n ln 2 - r; n = 128 makes the power infinite. */
INLINE vf v_sigmoid(vf x) {
  vf t = vf_at_least(vf_at_most(x, vf_constant(87.0f)), vf_constant(-89.0f));
  vf n = vf_fma(t, vf_constant(-LOG2E), vf_constant(MAGIC_BIASED));
  vf k = n - vf_constant(MAGIC_BIASED);
  vf r = vf_fma(k, vf_constant(LN2_LOW), vf_fma(k, vf_constant(LN2_HIGH), t));
  vf p = vf_fma(vf_constant(-1.39507256e-3f), r, vf_constant(8.36902484e-3f));
  p = vf_fma(p, r, vf_constant(-4.16662022e-2f));
  p = vf_fma(p, r, vf_constant(1.66665182e-1f));
  p = vf_fma(p, r, vf_constant(-0.5f));
  vf e = vf_constant(1.0f) - vf_fma(r * r, p, r);
  vf power = (vf)((vi)n << 23);
  return vf_constant(1.0f) / vf_fma(e, power, vf_constant(1.0f));
}

INLINE vf v_sign_of(vf magnitude, vf sign) { return (vf)((vi)magnitude | ((vi)sign & vi_set(0x80000000))); }

/* Hyperbolic tangent to 2.5 ulp: m / (2 - m) with m = 1 - e^-2|x|, relative near 0 too. -2|x| = n ln 2 - 2 r, |r| <= ln 2 / 4. */
INLINE vf v_tanh(vf x) {
  vf t = vf_at_most(vf_abs(x), vf_constant(9.02f));
  vf n = vf_fma(t, vf_constant(-2.0f * LOG2E), vf_constant(MAGIC_BIASED));
  vf k = n - vf_constant(MAGIC_BIASED);
  vf r = vf_fma(k, vf_constant(LN2_LOW / 2), vf_fma(k, vf_constant(LN2_HIGH / 2), t));
  vf p = vf_fma(vf_constant(-8.88480619e-2f), r, vf_constant(2.67730564e-1f));
  p = vf_fma(p, r, vf_constant(-6.66675210e-1f));
  p = vf_fma(p, r, vf_constant(1.33332348f));
  p = vf_fma(p, r, vf_constant(-1.99999988f));
  p = vf_fma(p, r, vf_constant(2.0f));
  vf power = (vf)((vi)n << 23);
  vf m = vf_fma(r * power, p, vf_constant(1.0f) - power);
  return v_sign_of(m / (vf_constant(2.0f) - m), x);
}

/* Error function, to 2e-7 absolute, relative to 2 ulp near 0. */
INLINE vf v_erf(vf x) {
  vf size = vf_abs(x), square = x * x;
  vf near = vf_fma(vf_constant(-5.96761703e-4f), square, vf_constant(4.99119423e-3f));
  near = vf_fma(near, square, vf_constant(-2.67681349e-2f));
  near = vf_fma(near, square, vf_constant(1.12819925e-1f));
  near = vf_fma(near, square, vf_constant(-3.76125336e-1f));
  near = vf_fma(near, square, vf_constant(1.28379166e-1f));
  near = vf_fma(near, x, x);
  vf t = vf_at_most(size, vf_constant(4.0f)), s = t * t;
  vf far = vf_fma(vf_constant(-1.72853470e-5f), t, vf_constant(3.83197126e-4f));
  vf u = vf_fma(vf_constant(-3.88396438e-3f), t, vf_constant(2.42546219e-2f));
  far = vf_fma(far, s, u);
  far = vf_fma(far, t, vf_constant(-1.06777877e-1f));
  far = vf_fma(far, t, vf_constant(-6.34846687e-1f));
  far = vf_fma(far, t, vf_constant(-1.28717512e-1f));
  far = vf_fma(far, t, vf_constant(0.0f) - t);
  far = v_sign_of(vf_constant(1.0f) - v_exp_negative(far), x);
  return vf_select(size > vf_constant(0.927734375f), far, near);
}

/* The activations that other kernels fuse. */
enum { IDENTITY, RELU, GELU_ERF, GELU_TANH, SILU };

INLINE vf v_activate(i32 activation, vf x) {
  switch (activation) {
    case RELU: return vf_at_least(x, vf_constant(0.0f));
    case GELU_ERF: return x * vf_constant(0.5f) * (vf_constant(1.0f) + v_erf(x * vf_constant(0.70710678f)));
    case GELU_TANH: return x * v_sigmoid(x * vf_fma(x * x, vf_constant(0.07135481f), vf_constant(1.59576912f)));
    case SILU: return x * v_sigmoid(x);
    default: return x;
  }
}

INLINE f32 f_exp(f32 x) { return v_exp(vf_set(x))[0]; }
INLINE f32 f_log(f32 x) { return v_log(vf_set(x))[0]; }

#endif
