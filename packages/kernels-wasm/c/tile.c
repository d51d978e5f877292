/*
 * The inner loops of matrix products. They stay out of line, are not unrolled, and are fenced, so that the twelve accumulators stay in
 * registers: V8 11 (Node 20) runs the unrolled loop at half the speed.
 */
#include "tile.h"

void pack_rows_of_6(f32 *out, const f32 *a, i32 row, i32 col, i32 rows, i32 k) {
  for (i32 panel = 0; panel < rows; panel += MR, out += MR * k) {
    i32 filled = MIN(MR, rows - panel);
    const f32 *p = a + panel * row;
    if (filled == MR && col == 1) {
      const f32 *p0 = p, *p1 = p + row, *p2 = p1 + row, *p3 = p2 + row, *p4 = p3 + row, *p5 = p4 + row;
      for (i32 i = 0; i < k; i++) {
        f32 *o = out + i * MR;
        o[0] = p0[i], o[1] = p1[i], o[2] = p2[i], o[3] = p3[i], o[4] = p4[i], o[5] = p5[i];
      }
    } else if (filled == MR && row == 1) {
      for (i32 i = 0; i < k; i++, p += col) {
        f32 *o = out + i * MR;
        vf_store(o, vf_load(p));
        o[4] = p[4], o[5] = p[5];
      }
    } else {
      for (i32 i = 0; i < k; i++)
        for (i32 r = 0; r < MR; r++) out[i * MR + r] = r < filled ? p[r * row + i * col] : 0.0f;
    }
  }
}

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

/* Rows of A lie ROW_A apart and its terms TERM_A, terms of B TERM_B, rows of the result ROW_OUT: constants, which V8 rewards. */
#define MULTIPLY(ROW_A, TERM_A, TERM_B, ROW_OUT) \
  vf c00, c01, c10, c11, c20, c21, c30, c31, c40, c41, c50, c51; \
  if (add) { \
    c00 = vf_load(out), c01 = vf_load(out + 4); \
    c10 = vf_load(out + 1 * (ROW_OUT)), c11 = vf_load(out + 1 * (ROW_OUT) + 4); \
    c20 = vf_load(out + 2 * (ROW_OUT)), c21 = vf_load(out + 2 * (ROW_OUT) + 4); \
    c30 = vf_load(out + 3 * (ROW_OUT)), c31 = vf_load(out + 3 * (ROW_OUT) + 4); \
    c40 = vf_load(out + 4 * (ROW_OUT)), c41 = vf_load(out + 4 * (ROW_OUT) + 4); \
    c50 = vf_load(out + 5 * (ROW_OUT)), c51 = vf_load(out + 5 * (ROW_OUT) + 4); \
  } else { \
    c00 = c01 = c10 = c11 = c20 = c21 = c30 = c31 = c40 = c41 = c50 = c51 = vf_set(0.0f); \
  } \
  for (; k > 0; k--, a += (TERM_A), b += (TERM_B)) { \
    vf b0 = vf_load(b), b1 = vf_load(b + 4), x; \
    x = vf_set(a[0]), c00 = vf_fma(x, b0, c00), c01 = vf_fma(x, b1, c01); \
    x = vf_set(a[1 * (ROW_A)]), c10 = vf_fma(x, b0, c10), c11 = vf_fma(x, b1, c11); \
    x = vf_set(a[2 * (ROW_A)]), c20 = vf_fma(x, b0, c20), c21 = vf_fma(x, b1, c21); \
    x = vf_set(a[3 * (ROW_A)]), c30 = vf_fma(x, b0, c30), c31 = vf_fma(x, b1, c31); \
    x = vf_set(a[4 * (ROW_A)]), c40 = vf_fma(x, b0, c40), c41 = vf_fma(x, b1, c41); \
    x = vf_set(a[5 * (ROW_A)]), c50 = vf_fma(x, b0, c50), c51 = vf_fma(x, b1, c51); \
    FENCE; \
  } \
  vf_store(out, c00), vf_store(out + 4, c01); \
  vf_store(out + 1 * (ROW_OUT), c10), vf_store(out + 1 * (ROW_OUT) + 4, c11); \
  vf_store(out + 2 * (ROW_OUT), c20), vf_store(out + 2 * (ROW_OUT) + 4, c21); \
  vf_store(out + 3 * (ROW_OUT), c30), vf_store(out + 3 * (ROW_OUT) + 4, c31); \
  vf_store(out + 4 * (ROW_OUT), c40), vf_store(out + 4 * (ROW_OUT) + 4, c41); \
  vf_store(out + 5 * (ROW_OUT), c50), vf_store(out + 5 * (ROW_OUT) + 4, c51);

void multiply_packed(f32 *out, i32 add, const f32 *a, const f32 *b, i32 k) { MULTIPLY(1, MR, NR, NR) }

void multiply_scores(f32 *out, const f32 *a, const f32 *b, i32 k) {
  const i32 add = 0;
  MULTIPLY(ROW, 1, NR, TILE)
}

void multiply_columns(f32 *out, const f32 *a, const f32 *b, i32 k) {
  const i32 add = 1;
  MULTIPLY(1, TILE, ROW, NR)
}

void multiply_rows(f32 *out, const f32 *a, const f32 *b, i32 k) {
  const i32 add = 0;
  MULTIPLY(TILE, 1, ROW, ROW)
}
