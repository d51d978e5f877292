/*
 * C = activation(alpha A B + beta C + bias) + residual, in tiles of mTile x nTile: one unit each, rows of tiles fastest, then columns, then
 * batch. A tile packs its rows of A into panels of 6 in its own stack; B comes packed in panels of 8 columns (pack_b), or is packed
 * by panel here. Accumulators of 6 x 8 stay in registers over up to KC terms; longer sums keep partial tiles in the stack, in order.
 */
#include "tile.h"
#include "vmath.h"

enum { KC = 512, MAX_ROWS = 96, MAX_COLUMNS = 512 };

/* Units: panels of 8 columns over the whole of K, of every matrix of the batch. */
KERNEL(pack_b) {
  i32 panels = CEIL_DIV(a->n, NR);
  for (i32 unit = begin; unit < end; unit++) {
    i32 matrix = unit / panels, panel = unit % panels;
    const f32 *b = a->b + matrix / a->inner * a->bOuter + matrix % a->inner * a->bInner + panel * NR * a->bCol;
    pack_panel(a->packed + unit * NR * a->k, b, a->bRow, a->bCol, MIN(NR, a->n - panel * NR), a->k);
  }
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
      pack_rows_of_6(panels, left + first * a->aCol, a->aRow, a->aCol, rows, terms);
      for (i32 j = 0; j < columns; j += NR) {
        i32 width = MIN(NR, columns - j);
        const f32 *b = a->packed ? right + j * a->k + first * NR : right + first * a->bRow + j * a->bCol;
        if (!a->packed) pack_panel(column_panel, b, a->bRow, a->bCol, width, terms), b = column_panel;
        f32 *acc = partial + j * MAX_ROWS;
        for (i32 i = 0; i < rows; i += MR) {
          f32 *tile = blocks > 1 ? acc + i * NR : partial;
          multiply_packed(tile, first > 0, panels + i * terms, b, terms);
          if (last) store_tile(a, tile, offset + i * a->cRow + j, column + j, MIN(MR, rows - i), width);
        }
      }
    }
  }
}
