/*
 * C = activation(alpha A B + beta C + bias) + residual, in tiles of mTile x nTile: one unit each, rows of tiles fastest, then columns, then
 * batch. A tile packs its rows of A into panels of 6 in its own stack; B comes packed in panels of 8 columns (pack_b), or is packed
 * by panel here. Accumulators of 6 x 8 stay in registers over up to KC terms; longer sums keep partial tiles in the stack, in order.
 */
#include "vmath.h"

enum { MR = 6, NR = 8, KC = 512, MAX_ROWS = 96, MAX_COLUMNS = 512 };

INLINE void pack_a(f32 *out, const f32 *a, i32 row, i32 col, i32 rows, i32 k) {
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

/* k terms of `columns` (at most 8) columns; the missing ones are zeros. */
INLINE void pack_panel(f32 *out, const f32 *b, i32 row, i32 col, i32 columns, i32 k) {
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

/* Units: panels of 8 columns over the whole of K, of every matrix of the batch. */
KERNEL(pack_b) {
  i32 panels = CEIL_DIV(a->n, NR);
  for (i32 unit = begin; unit < end; unit++) {
    i32 matrix = unit / panels, panel = unit % panels;
    const f32 *b = a->b + matrix / a->inner * a->bOuter + matrix % a->inner * a->bInner + panel * NR * a->bCol;
    pack_panel(a->packed + unit * NR * a->k, b, a->bRow, a->bCol, MIN(NR, a->n - panel * NR), a->k);
  }
}

/*
 * acc[6][8] (+)= panel of A times panel of B. Kept out of line, not unrolled, and fenced, so that the twelve accumulators stay in
 * registers: V8 11 (Node 20) runs the unrolled loop at half the speed.
 */
static __attribute__((noinline)) void micro(f32 *acc, i32 add, const f32 *a, const f32 *b, i32 k) {
  vf c00, c01, c10, c11, c20, c21, c30, c31, c40, c41, c50, c51;
  if (add) {
    c00 = vf_load(acc), c01 = vf_load(acc + 4), c10 = vf_load(acc + 8), c11 = vf_load(acc + 12);
    c20 = vf_load(acc + 16), c21 = vf_load(acc + 20), c30 = vf_load(acc + 24), c31 = vf_load(acc + 28);
    c40 = vf_load(acc + 32), c41 = vf_load(acc + 36), c50 = vf_load(acc + 40), c51 = vf_load(acc + 44);
  } else {
    c00 = c01 = c10 = c11 = c20 = c21 = c30 = c31 = c40 = c41 = c50 = c51 = vf_set(0.0f);
  }
  for (i32 i = 0; i < k; i++, a += MR, b += NR) {
    vf b0 = vf_load(b), b1 = vf_load(b + 4), x;
    x = vf_set(a[0]), c00 = vf_fma(x, b0, c00), c01 = vf_fma(x, b1, c01);
    x = vf_set(a[1]), c10 = vf_fma(x, b0, c10), c11 = vf_fma(x, b1, c11);
    x = vf_set(a[2]), c20 = vf_fma(x, b0, c20), c21 = vf_fma(x, b1, c21);
    x = vf_set(a[3]), c30 = vf_fma(x, b0, c30), c31 = vf_fma(x, b1, c31);
    x = vf_set(a[4]), c40 = vf_fma(x, b0, c40), c41 = vf_fma(x, b1, c41);
    x = vf_set(a[5]), c50 = vf_fma(x, b0, c50), c51 = vf_fma(x, b1, c51);
    FENCE;
  }
  vf_store(acc, c00), vf_store(acc + 4, c01), vf_store(acc + 8, c10), vf_store(acc + 12, c11);
  vf_store(acc + 16, c20), vf_store(acc + 20, c21), vf_store(acc + 24, c30), vf_store(acc + 28, c31);
  vf_store(acc + 32, c40), vf_store(acc + 36, c41), vf_store(acc + 40, c50), vf_store(acc + 44, c51);
}

/* Four columns of one row through the epilogue. */
INLINE vf finish(const gemm_args *a, vf x, vf old, vf bias, vf residual, f32 *pre, i32 columns) {
  x = x * vf_set(a->alpha) + bias;
  if (a->beta != 0.0f) x = x + vf_set(a->beta) * old;
  if (pre) {
    if (columns >= 4) vf_store(pre, x);
    else vf_store_part(pre, x, columns);
  }
  return v_activate(a->activation, x) + residual;
}

static void store_tile(const gemm_args *a, const f32 *acc, i32 offset, i32 column, i32 rows, i32 columns) {
  vf zero = vf_set(0.0f);
  for (i32 half = 0; half < columns; half += 4) {
    i32 count = columns - half;
    i32 whole = count >= 4;
    vf bias = !a->bias ? zero : whole ? vf_load(a->bias + column + half) : vf_load_part(a->bias + column + half, count, 0.0f);
    for (i32 r = 0; r < rows; r++) {
      i32 at = offset + r * a->cRow + half;
      f32 *c = a->c + at, *pre = a->pre ? a->pre + at : 0;
      const f32 *residual = a->residual + at;
      vf x = vf_load(acc + r * NR + half);
      if (whole) {
        vf_store(c, finish(a, x, a->beta != 0.0f ? vf_load(c) : zero, bias, a->residual ? vf_load(residual) : zero, pre, count));
      } else {
        vf old = a->beta != 0.0f ? vf_load_part(c, count, 0.0f) : zero;
        vf_store_part(c, finish(a, x, old, bias, a->residual ? vf_load_part(residual, count, 0.0f) : zero, pre, count), count);
      }
    }
  }
}

/* Units: tiles of mTile (at most 96) rows x nTile (at most 512, a multiple of 8) columns. */
KERNEL(gemm) {
  f32 panels[MAX_ROWS * KC], column_panel[NR * KC], partial[MAX_ROWS * MAX_COLUMNS];
  i32 m_tiles = CEIL_DIV(a->m, a->mTile), n_tiles = CEIL_DIV(a->n, a->nTile);
  i32 blocks = MAX(1, CEIL_DIV(a->k, KC)), block = CEIL_DIV(a->k, blocks);
  for (i32 unit = begin; unit < end; unit++) {
    i32 row = unit % m_tiles * a->mTile, column = unit / m_tiles % n_tiles * a->nTile, matrix = unit / m_tiles / n_tiles;
    i32 outer = matrix / a->inner, inner = matrix % a->inner;
    i32 rows = MIN(a->mTile, a->m - row), columns = MIN(a->nTile, a->n - column);
    const f32 *left = a->a + outer * a->aOuter + inner * a->aInner + row * a->aRow;
    const f32 *right = a->packed ? a->b + outer * a->bOuter + inner * a->bInner + column * a->k
                                 : a->b + outer * a->bOuter + inner * a->bInner + column * a->bCol;
    i32 offset = outer * a->cOuter + inner * a->cInner + row * a->cRow + column;
    for (i32 first = 0; first < a->k || first == 0; first += block ? block : 1) {
      i32 terms = MIN(block, a->k - first), last = first + block >= a->k;
      pack_a(panels, left + first * a->aCol, a->aRow, a->aCol, rows, terms);
      for (i32 j = 0; j < columns; j += NR) {
        i32 width = MIN(NR, columns - j);
        const f32 *b;
        if (a->packed) b = right + j * a->k + first * NR;
        else pack_panel(column_panel, right + first * a->bRow + j * a->bCol, a->bRow, a->bCol, width, terms), b = column_panel;
        f32 *acc = partial + j * MAX_ROWS;
        for (i32 i = 0; i < rows; i += MR) {
          f32 *tile = blocks > 1 ? acc + i * NR : partial;
          micro(tile, first > 0, panels + i * terms, b, terms);
          if (last) store_tile(a, tile, offset + i * a->cRow + j, column + j, MIN(MR, rows - i), width);
        }
      }
    }
  }
}
