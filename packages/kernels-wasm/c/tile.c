/*
 * The inner loops of matrix products. They stay out of line, are not unrolled, and are fenced, so that the twelve accumulators stay in
 * registers: V8 11 (Node 20) runs the unrolled loop at half the speed.
 */
#include "tile.h"

void pack_panel(f32 *out, const f32 *b, i32 row, i32 col, i32 columns, i32 k) {
  if (columns == NR && col == 1) {
    for (i32 i = 0; i < k; i++, b += row, out += NR) {
      vf_store(out, vf_load(b));
      vf_store(out + 4, vf_load(b + 4));
    }
  } else if (columns == NR && row == 1) {
    i32 i = 0;
    for (; i + 4 <= k; i += 4) {
      for (i32 half = 0; half < 2; half++) {
        const f32 *p = b + i + half * 4 * col;
        vf x0 = vf_load(p), x1 = vf_load(p + col), x2 = vf_load(p + 2 * col), x3 = vf_load(p + 3 * col);
        vf l0 = __builtin_shufflevector(x0, x1, 0, 4, 1, 5), h0 = __builtin_shufflevector(x0, x1, 2, 6, 3, 7);
        vf l1 = __builtin_shufflevector(x2, x3, 0, 4, 1, 5), h1 = __builtin_shufflevector(x2, x3, 2, 6, 3, 7);
        f32 *o = out + i * NR + half * 4;
        vf_store(o, __builtin_shufflevector(l0, l1, 0, 1, 4, 5));
        vf_store(o + NR, __builtin_shufflevector(l0, l1, 2, 3, 6, 7));
        vf_store(o + 2 * NR, __builtin_shufflevector(h0, h1, 0, 1, 4, 5));
        vf_store(o + 3 * NR, __builtin_shufflevector(h0, h1, 2, 3, 6, 7));
      }
    }
    for (; i < k; i++)
      for (i32 c = 0; c < NR; c++) out[i * NR + c] = b[i + c * col];
  } else {
    for (i32 i = 0; i < k; i++)
      for (i32 c = 0; c < NR; c++) out[i * NR + c] = c < columns ? b[i * row + c * col] : 0.0f;
  }
}

/* Terms of A `LDA` apart, a constant: V8 rewards it. */
#define MULTIPLY_COLUMNS(LDA) \
  vf c00, c01, c10, c11, c20, c21, c30, c31, c40, c41, c50, c51; \
  if (add) { \
    c00 = vf_load(out), c01 = vf_load(out + 4); \
    c10 = vf_load(out + 1 * NR), c11 = vf_load(out + 1 * NR + 4); \
    c20 = vf_load(out + 2 * NR), c21 = vf_load(out + 2 * NR + 4); \
    c30 = vf_load(out + 3 * NR), c31 = vf_load(out + 3 * NR + 4); \
    c40 = vf_load(out + 4 * NR), c41 = vf_load(out + 4 * NR + 4); \
    c50 = vf_load(out + 5 * NR), c51 = vf_load(out + 5 * NR + 4); \
  } else { \
    c00 = c01 = c10 = c11 = c20 = c21 = c30 = c31 = c40 = c41 = c50 = c51 = vf_set(0.0f); \
  } \
  for (; k > 0; k--, a += (LDA), b += NR) { \
    vf b0 = vf_load(b), b1 = vf_load(b + 4), x; \
    x = vf_set(a[0]), c00 = vf_fma(x, b0, c00), c01 = vf_fma(x, b1, c01); \
    x = vf_set(a[1]), c10 = vf_fma(x, b0, c10), c11 = vf_fma(x, b1, c11); \
    x = vf_set(a[2]), c20 = vf_fma(x, b0, c20), c21 = vf_fma(x, b1, c21); \
    x = vf_set(a[3]), c30 = vf_fma(x, b0, c30), c31 = vf_fma(x, b1, c31); \
    x = vf_set(a[4]), c40 = vf_fma(x, b0, c40), c41 = vf_fma(x, b1, c41); \
    x = vf_set(a[5]), c50 = vf_fma(x, b0, c50), c51 = vf_fma(x, b1, c51); \
    FENCE; \
  } \
  vf_store(out, c00), vf_store(out + 4, c01); \
  vf_store(out + 1 * NR, c10), vf_store(out + 1 * NR + 4, c11); \
  vf_store(out + 2 * NR, c20), vf_store(out + 2 * NR + 4, c21); \
  vf_store(out + 3 * NR, c30), vf_store(out + 3 * NR + 4, c31); \
  vf_store(out + 4 * NR, c40), vf_store(out + 4 * NR + 4, c41); \
  vf_store(out + 5 * NR, c50), vf_store(out + 5 * NR + 4, c51);

void multiply_packed(f32 *out, i32 add, const f32 *a, const f32 *b, i32 k) { MULTIPLY_COLUMNS(MR) }

void multiply_columns(f32 *out, const f32 *a, const f32 *b, i32 k) {
  const i32 add = 1;
  MULTIPLY_COLUMNS(TILE)
}

void multiply_rows(f32 *out, const f32 *a, i32 lda, i32 rows, const f32 *b, i32 k) {
  vf c00, c01, c10, c11, c20, c21, c30, c31, c40, c41, c50, c51;
  c00 = c01 = c10 = c11 = c20 = c21 = c30 = c31 = c40 = c41 = c50 = c51 = vf_set(0.0f);
  const f32 *a0 = a, *a1 = a + MIN(1, rows - 1) * lda, *a2 = a + MIN(2, rows - 1) * lda;
  const f32 *a3 = a + MIN(3, rows - 1) * lda, *a4 = a + MIN(4, rows - 1) * lda, *a5 = a + MIN(5, rows - 1) * lda;
  for (i32 i = 0; i < k; i++, b += NR) {
    vf b0 = vf_load(b), b1 = vf_load(b + 4), x;
    x = vf_set(a0[i]), c00 = vf_fma(x, b0, c00), c01 = vf_fma(x, b1, c01);
    x = vf_set(a1[i]), c10 = vf_fma(x, b0, c10), c11 = vf_fma(x, b1, c11);
    x = vf_set(a2[i]), c20 = vf_fma(x, b0, c20), c21 = vf_fma(x, b1, c21);
    x = vf_set(a3[i]), c30 = vf_fma(x, b0, c30), c31 = vf_fma(x, b1, c31);
    x = vf_set(a4[i]), c40 = vf_fma(x, b0, c40), c41 = vf_fma(x, b1, c41);
    x = vf_set(a5[i]), c50 = vf_fma(x, b0, c50), c51 = vf_fma(x, b1, c51);
    FENCE;
  }
  vf_store(out, c00), vf_store(out + 4, c01);
  vf_store(out + 1 * TILE, c10), vf_store(out + 1 * TILE + 4, c11);
  vf_store(out + 2 * TILE, c20), vf_store(out + 2 * TILE + 4, c21);
  vf_store(out + 3 * TILE, c30), vf_store(out + 3 * TILE + 4, c31);
  vf_store(out + 4 * TILE, c40), vf_store(out + 4 * TILE + 4, c41);
  vf_store(out + 5 * TILE, c50), vf_store(out + 5 * TILE + 4, c51);
}
