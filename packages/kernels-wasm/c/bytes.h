/* Bytes as floats. */
#ifndef BYTES_H
#define BYTES_H
#include "vec.h"

typedef u8 vb __attribute__((vector_size(16)));
typedef short vs __attribute__((vector_size(16)));
typedef u16 vus __attribute__((vector_size(16)));
typedef vb vb_any __attribute__((aligned(1)));

/* Widening by halves, which is one instruction each; shuffles with zeros cost V8 a constant at every turn. */
#define LOW8(b) (vs)__builtin_convertvector(__builtin_shufflevector(b, b, 0, 1, 2, 3, 4, 5, 6, 7), vus)
#define HIGH8(b) (vs)__builtin_convertvector(__builtin_shufflevector(b, b, 8, 9, 10, 11, 12, 13, 14, 15), vus)
#define LOW4(s) __builtin_convertvector(__builtin_convertvector(__builtin_shufflevector(s, s, 0, 1, 2, 3), vi), vf)
#define HIGH4(s) __builtin_convertvector(__builtin_convertvector(__builtin_shufflevector(s, s, 4, 5, 6, 7), vi), vf)

INLINE vs vs_set(short x) { return (vs){x, x, x, x, x, x, x, x}; }

/* out[i] = (codes[i] - 128) scale. */
INLINE void numbers_of(f32 *out, const u8 *codes, i32 count, f32 scale) {
  vf factor = vf_set(scale);
  i32 i = 0;
  for (; i + 16 <= count; i += 16) {
    vb sixteen = *(const vb_any *)(codes + i);
    vs low = LOW8(sixteen) - vs_set(128), high = HIGH8(sixteen) - vs_set(128);
    vf_store(out + i, LOW4(low) * factor), vf_store(out + i + 4, HIGH4(low) * factor);
    vf_store(out + i + 8, LOW4(high) * factor), vf_store(out + i + 12, HIGH4(high) * factor);
  }
  for (; i < count; i++) out[i] = (f32)(codes[i] - 128) * scale;
}

typedef u16 vus4 __attribute__((vector_size(8)));
typedef vus4 vus4_any __attribute__((aligned(2)));

/* out[i] = halves[i]: bf16 is the upper half of a float. Of f16 the exponent is rebased by a product, which keeps subnormals; what passes its range is infinite or no number. */
INLINE void numbers_of_halves(f32 *out, const u16 *halves, i32 count, i32 is_bf16) {
  vf rebase = (vf)vi_set(0x77800000);
  for (i32 i = 0; i < count; i += 4) {
    vus4 four = {0};
    if (count - i >= 4) four = *(const vus4_any *)(halves + i);
    else
      for (i32 j = 0; j < count - i; j++) four[j] = halves[i + j];
    vi bits = __builtin_convertvector(four, vi);
    if (is_bf16) {
      vf_put(out + i, (vf)(bits << 16), count - i);
      continue;
    }
    vi special = (bits & vi_set(0x7c00)) == vi_set(0x7c00);
    vi size = (vi)((vf)((bits & vi_set(0x7fff)) << 13) * rebase) | (special & vi_set(0x7f800000));
    vf_put(out + i, (vf)(size | (bits & vi_set(0x8000)) << 16), count - i);
  }
}

#endif
