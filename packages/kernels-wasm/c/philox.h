/* Philox4x32-10 (Salmon et al., SC 2011), as random.ts of @x/tensor: element i of a draw is word i % 4 of block i / 4. */
#ifndef PHILOX_H
#define PHILOX_H
#include "vec.h"

typedef u64 vw __attribute__((vector_size(16)));

/* Low and high words of the products of each lane and m. */
INLINE void wide_product(vu a, u32 m, vu *low, vu *high) {
  vw factor = (vw){m, m};
  vw left = __builtin_convertvector(__builtin_shufflevector(a, a, 0, 1), vw) * factor;
  vw right = __builtin_convertvector(__builtin_shufflevector(a, a, 2, 3), vw) * factor;
  *low = __builtin_shufflevector((vu)left, (vu)right, 0, 2, 4, 6);
  *high = __builtin_shufflevector((vu)left, (vu)right, 1, 3, 5, 7);
}

/* The 16 elements of blocks `block` ... `block` + 3. key: seed low and high, step low and high. */
INLINE void philox_16(u32 *out, u32 block, u32 ordinal, const u32 *key) {
  vu c0 = (vu){block, block + 1, block + 2, block + 3}, c1 = (vu){ordinal, ordinal, ordinal, ordinal};
  vu c2 = (vu){key[2], key[2], key[2], key[2]}, c3 = (vu){key[3], key[3], key[3], key[3]};
  u32 k0 = key[0], k1 = key[1];
  for (i32 round = 0; round < 10; round++) {
    vu low0, high0, low1, high1;
    wide_product(c0, 0xd2511f53u, &low0, &high0);
    wide_product(c2, 0xcd9e8d57u, &low1, &high1);
    c0 = high1 ^ c1 ^ (vu){k0, k0, k0, k0}, c1 = low1;
    c2 = high0 ^ c3 ^ (vu){k1, k1, k1, k1}, c3 = low0;
    k0 += 0x9e3779b9u, k1 += 0xbb67ae85u;
  }
  vu l0 = __builtin_shufflevector(c0, c1, 0, 4, 1, 5), h0 = __builtin_shufflevector(c0, c1, 2, 6, 3, 7);
  vu l1 = __builtin_shufflevector(c2, c3, 0, 4, 1, 5), h1 = __builtin_shufflevector(c2, c3, 2, 6, 3, 7);
  vf_store((f32 *)out, (vf)__builtin_shufflevector(l0, l1, 0, 1, 4, 5));
  vf_store((f32 *)out + 4, (vf)__builtin_shufflevector(l0, l1, 2, 3, 6, 7));
  vf_store((f32 *)out + 8, (vf)__builtin_shufflevector(h0, h1, 0, 1, 4, 5));
  vf_store((f32 *)out + 12, (vf)__builtin_shufflevector(h0, h1, 2, 3, 6, 7));
}

#endif
