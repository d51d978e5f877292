/*
 * Fourier transforms of rows by Stockham's self-sorting passes, one for each factor of the length. Pass by pass the
 * sequences get shorter and lie further apart; over those that lie side by side the loops run in vectors.
 */
#include "vec.h"

enum { PASSES = 24 };

/* One pass: m butterflies of `radix` over sequences `stride` apart; n is the whole length. */
INLINE void pass(f32 *y_re, f32 *y_im, const f32 *x_re, const f32 *x_im, const fft_args *a, i32 radix, i32 m, i32 stride) {
  f32 sign = a->inverse ? 1.0f : -1.0f;
  i32 n = a->n, root = n / radix;
  for (i32 p = 0; p < m; p++)
    for (i32 i = 0; i < radix; i++) {
      i32 to = stride * (radix * p + i), step = stride * m;
      for (i32 q = 0; q < stride; q += 4) {
        vf re = vf_set(0.0f), im = re;
        /* The twiddle of output i is folded into its roots of unity: entry i p stride + i j root, modulo n. */
        i32 at = i * p * stride % n;
        for (i32 j = 0, from = q + stride * p; j < radix; j++, from += step) {
          vf u = vf_get(x_re + from, stride - q, 0.0f), v = vf_get(x_im + from, stride - q, 0.0f);
          vf c = vf_set(a->cos[at]), s = vf_set(sign * a->sin[at]);
          re = re + u * c - v * s;
          im = im + u * s + v * c;
          at += i * root;
          if (at >= n) at -= n;
        }
        vf_put(y_re + to + q, re, stride - q);
        vf_put(y_im + to + q, im, stride - q);
      }
    }
}

/* cos and sin of x in [0, pi/4] by their series, to the last bit of f32 and beyond. */
INLINE f64 sin_small(f64 x) {
  f64 s = 0.0;
  for (f64 k = 15.0; k >= 3.0; k -= 2.0) s = (s + 1.0) * (-x * x / (k * (k - 1.0)));
  return x * (s + 1.0);
}
INLINE f64 cos_small(f64 x) {
  f64 s = 0.0;
  for (f64 k = 16.0; k >= 2.0; k -= 2.0) s = (s + 1.0) * (-x * x / (k * (k - 1.0)));
  return s + 1.0;
}

/* Reduced to the first octant in whole numbers, so that no entry is worse than another. */
KERNEL(fft_tables) {
  i32 last = MIN(a->n, end * a->chunk);
  for (i32 i = begin * a->chunk; i < last; i++) {
    u64 eighths = (u64)i * 8u;
    i32 octant = (i32)(eighths / (u32)a->n);
    u32 rest = (u32)(eighths % (u32)a->n);
    f64 x = (octant & 1 ? (f64)((u32)a->n - rest) : (f64)rest) / a->n * 0.78539816339744830962;
    i32 swaps = octant == 1 || octant == 2 || octant == 5 || octant == 6;
    f64 c = swaps ? sin_small(x) : cos_small(x), s = swaps ? cos_small(x) : sin_small(x);
    a->cos[i] = (f32)(octant >= 2 && octant <= 5 ? -c : c);
    a->sin[i] = (f32)(octant >= 4 ? -s : s);
  }
}

KERNEL(fft) {
  i32 n = a->n, passes = 0;
  while (passes < PASSES && a->radices[passes] > 0) passes++;
  for (i32 row = begin; row < end; row++) {
    u32 at = (u32)row * n;
    f32 *sides[2][2] = {{a->outRe + at, a->outIm + at}, {a->scratch + 2 * at, a->scratch + 2 * at + n}};
    /* The side to start on is the one that lets the last pass end in the output. */
    i32 side = passes % 2;
    for (i32 i = 0; i < n; i++) {
      f32 re = a->re[at + i], im = a->im ? a->im[at + i] : 0.0f;
      sides[side][0][i] = re, sides[side][1][i] = im;
    }
    i32 length = n, stride = 1;
    for (i32 k = 0; k < passes; k++, side = 1 - side) {
      i32 radix = a->radices[k];
      pass(sides[1 - side][0], sides[1 - side][1], sides[side][0], sides[side][1], a, radix, length / radix, stride);
      length /= radix, stride *= radix;
    }
  }
}
