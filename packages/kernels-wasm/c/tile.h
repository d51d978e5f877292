/* The tile that matrix products are made of: 6 rows by 8 columns of accumulators. */
#ifndef TILE_H
#define TILE_H
#include "vec.h"

/* Rows of scores lie TILE apart, those of operands that were copied side by side ROW: constants, and no power of two, which would put a column of rows into few sets of the cache. */
enum { MR = 6, NR = 8, TILE = 96, ROW = 264 };

/* k terms of `columns` (at most 8) columns of b as out[k][8]; the missing columns are zeros. */
void pack_panel(f32 *out, const f32 *b, i32 row, i32 col, i32 columns, i32 k);

/* out[6][8] (+)= a panel of A, a[i][6], times a panel of B, b[i][8], over i < k. */
void multiply_packed(f32 *out, i32 add, const f32 *a, const f32 *b, i32 k);

/* Rows of a as panels out[row / 6][k][6]; the missing rows of the last are zeros. */
void pack_rows_of_6(f32 *out, const f32 *a, i32 row, i32 col, i32 rows, i32 k);

/* out[6][8], rows TILE apart, = sum over i < k of a[0..6][i] b[i][0..8], rows of a ROW apart, b a packed panel. */
void multiply_scores(f32 *out, const f32 *a, const f32 *b, i32 k);

/* out[6][8] += sum over i < k of t[i][0..6] b[i][0..8], rows of t TILE and of b ROW apart. */
void multiply_columns(f32 *out, const f32 *t, const f32 *b, i32 k);

/* out[6][8], rows ROW apart, = sum over i < k of t[0..6][i] b[i][0..8], rows of t TILE and of b ROW apart. */
void multiply_rows(f32 *out, const f32 *t, const f32 *b, i32 k);

#endif
