/*
 * Fourier transforms of rows by Stockham's self-sorting passes, one for each factor of the length (any small factor). Pass by pass the
 * sequences get shorter and lie further apart; over those that lie side by side the loops run in vectors.
 */
#include "vec.h"

enum { MAX_RADIX = 64, PASSES = 24 };

/* One pass: m butterflies of `radix` over sequences `stride` apart; n is the whole length. */
INLINE void pass(f32 *y_re, f32 *y_im, const f32 *x_re, const f32 *x_im, const fft_args *a, i32 radix, i32 m, i32 stride) {
  f32 sign = a->inverse ? 1.0f : -1.0f;
  i32 n = a->n, root = n / radix;
  for (i32 p = 0; p < m; p++)
    for (i32 i = 0; i < radix; i++) {
      /* The twiddle of the butterfly's output i is folded into its roots of unity. */
      f32 w_re[MAX_RADIX], w_im[MAX_RADIX];
      for (i32 j = 0; j < radix; j++) {
        i32 at = (i * p * stride + i * j % radix * root) % n;
        w_re[j] = a->cos[at], w_im[j] = sign * a->sin[at];
      }
      i32 to = stride * (radix * p + i), step = stride * m;
      for (i32 q = 0; q < stride; q += 4) {
        vf re = vf_set(0.0f), im = re;
        for (i32 j = 0, from = q + stride * p; j < radix; j++, from += step) {
          vf u = vf_get(x_re + from, stride - q, 0.0f), v = vf_get(x_im + from, stride - q, 0.0f);
          re = re + u * vf_set(w_re[j]) - v * vf_set(w_im[j]);
          im = im + u * vf_set(w_im[j]) + v * vf_set(w_re[j]);
        }
        vf_put(y_re + to + q, re, stride - q);
        vf_put(y_im + to + q, im, stride - q);
      }
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
