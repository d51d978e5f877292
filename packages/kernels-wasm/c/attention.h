/*
 * Tiles of attention. A tile of scores is T[row][column], rows up to BLOCK, columns up to TILE and TILE apart: the side whose rows stream by
 * gives the rows, copied side by side, the side that stays gives the columns, packed once in panels of 8. Its rows then are the terms of the second product.
 */
#ifndef ATTENTION_H
#define ATTENTION_H
#include "tile.h"
#include "vmath.h"

enum { BLOCK = 48, MAX_DIM = 256 };

/* Packs up to TILE rows of x as panels [row / 8][dim][8], times scale. */
INLINE void pack_rows(f32 *out, const f32 *x, i32 stride, i32 rows, i32 dim, f32 scale) {
  for (i32 row = 0; row < rows; row += NR) pack_panel(out + row * dim, x + row * stride, 1, stride, MIN(NR, rows - row), dim);
  i32 count = CEIL_DIV(rows, NR) * NR * dim;
  if (scale != 1.0f)
    for (i32 i = 0; i < count; i += 4) vf_store(out + i, vf_load(out + i) * vf_set(scale));
}

/* Copies rows of x side by side, ROW apart; a block has room for whole sixes of them. */
INLINE void copy_rows(f32 *out, const f32 *x, i32 stride, i32 rows, i32 dim) {
  for (i32 row = 0; row < rows; row++, out += ROW, x += stride) {
    i32 d = 0;
    for (; d + 4 <= dim; d += 4) vf_store(out + d, vf_load(x + d));
    if (d < dim) vf_store(out + d, vf_load_part(x + d, dim - d, 0.0f));
  }
}

/* t[row][column] = <x[row], packed[column]>, x copied. */
INLINE void score_tile(f32 *t, const f32 *x, i32 rows, const f32 *packed, i32 columns, i32 dim) {
  for (i32 column = 0; column < columns; column += NR)
    for (i32 row = 0; row < rows; row += MR) multiply_scores(t + row * TILE + column, x + row * ROW, packed + column * dim, dim);
}

/* Sums of [TILE columns, up to 6 more][dim] lie in panels of 8 of dim: element (column, d) is at place(column, d). */
enum { PANEL = (TILE + MR) * NR };
INLINE i32 place(i32 column, i32 d) { return d / NR * PANEL + column * NR + d % NR; }

INLINE void clear(f32 *out, i32 columns, i32 dim) {
  for (i32 d = 0; d < dim; d += NR)
    for (i32 i = 0; i < (columns + MR) * NR; i += 4) vf_store(out + place(0, d) + i, vf_set(0.0f));
}

/* out(column, d) += sum over rows of t[row][column] x[row][d], x copied. */
INLINE void add_product(f32 *out, const f32 *t, i32 columns, const f32 *x, i32 rows, i32 dim) {
  for (i32 d = 0; d < dim; d += NR)
    for (i32 column = 0; column < columns; column += MR) multiply_columns(out + place(column, d), t + column, x + d, rows);
}

/* out *= by, element by element. */
INLINE void multiply_tile(f32 *out, const f32 *by, i32 rows, i32 columns) {
  for (i32 r = 0; r < rows; r++)
    for (i32 at = r * TILE; at < r * TILE + columns; at += 4) vf_store(out + at, vf_load(out + at) * vf_load(by + at));
}

#include "sight.h"

#endif
