/*
 * Convolution as a product that never has its right matrix whole: a unit makes the patches of its columns in its own stack, panel by panel
 * and up to KC terms at a time, and multiplies them with the rows of the weight. Sums longer than that go on in the result, in order.
 */
#include "tile.h"

enum { KC = 512, MAX_ROWS = 96, MAX_COLUMNS = 128 };

/* The input place that position p of the padded, dilated axis holds, or -1. */
INLINE i32 source(i32 p, i32 dilation, i32 extent) {
  if (dilation > 1) p = p < 0 || p % dilation ? -1 : p / dilation;
  return (u32)p < (u32)extent ? p : -1;
}

/* Where the patches of eight columns begin, and whether they are eight neighbours of a row of x wherever they are inside it. */
typedef struct {
  i32 top[NR], left[NR], columns, neighbours;
} corners;

static corners corners_of(const convolution_args *a, i32 column, i32 columns) {
  corners at = {.columns = columns};
  for (i32 c = 0; c < columns; c++) {
    at.top[c] = (column + c) / a->outW * a->strideH - a->padH;
    at.left[c] = (column + c) % a->outW * a->strideW - a->padW;
  }
  i32 dense = a->strideW == 1 && a->inputDilationW == 1;
  at.neighbours = dense && columns == NR && column % a->outW + NR <= a->outW;
  return at;
}

INLINE f32 element(const convolution_args *a, const f32 *x, i32 top, i32 left) {
  i32 h = source(top, a->inputDilationH, a->height), w = source(left, a->inputDilationW, a->width);
  return h < 0 || w < 0 ? 0.0f : x[h * a->width + w];
}

/* Terms [first, first + terms) of eight columns as out[terms][8]; the missing columns are zeros. A term is (channel, kh, kw). */
static void pack_patches(f32 *out, const convolution_args *a, const f32 *x, const corners *at, i32 first, i32 terms) {
  i32 window = a->kernelH * a->kernelW, area = a->height * a->width;
  i32 kh = first % window / a->kernelW, kw = first % a->kernelW;
  x += first / window * area;
  for (i32 t = 0; t < terms; t++, out += NR) {
    i32 down = kh * a->dilationH, right = kw * a->dilationW, left = at->left[0] + right;
    if (at->neighbours && left >= 0 && left + NR <= a->width) {
      i32 h = source(at->top[0] + down, a->inputDilationH, a->height);
      const f32 *p = x + h * a->width + left;
      vf zero = vf_set(0.0f);
      vf_store(out, h < 0 ? zero : vf_load(p)), vf_store(out + 4, h < 0 ? zero : vf_load(p + 4));
    } else {
      for (i32 c = 0; c < NR; c++) out[c] = c < at->columns ? element(a, x, at->top[c] + down, at->left[c] + right) : 0.0f;
    }
    if (++kw < a->kernelW) continue;
    kw = 0;
    if (++kh == a->kernelH) kh = 0, x += area;
  }
}

/* tile[6][8] from or to the corner of y that is there. */
INLINE void move_tile(f32 *tile, f32 *y, i32 yRow, i32 rows, i32 columns, i32 store) {
  for (i32 r = 0; r < rows; r++)
    for (i32 c = 0; c < columns; c += 4) {
      f32 *here = tile + r * NR + c, *there = y + r * yRow + c;
      if (store) vf_put(there, vf_load(here), columns - c);
      else vf_store(here, vf_get(there, columns - c, 0.0f));
    }
}

/* Units: tiles of `rows` outputs x `columns` (at most 128, a multiple of 8) places, of every group of every image; places fastest. */
KERNEL(convolution) {
  f32 weights[MAX_ROWS * KC], patches[MAX_COLUMNS * KC], tile[MR * NR];
  i32 k = a->channels * a->kernelH * a->kernelW, area = a->outH * a->outW;
  i32 blocks = MAX(1, CEIL_DIV(k, KC)), block = MAX(1, CEIL_DIV(k, blocks));
  i32 across = CEIL_DIV(area, a->columns), down = CEIL_DIV(a->outputs, a->rows);
  for (i32 unit = begin; unit < end; unit++) {
    i32 column = unit % across * a->columns, columns = MIN(a->columns, area - column), matrix = unit / across / down;
    i32 row = unit / across % down * a->rows, last = MIN(a->outputs, row + a->rows);
    const f32 *x = a->x + (u32)matrix * a->channels * a->height * a->width;
    const f32 *weight = a->weight + matrix % a->groups * a->outputs * k;
    f32 *y = a->y + (u32)matrix * a->outputs * area + column;
    for (i32 first = 0; first == 0 || first < k; first += block) {
      i32 terms = MIN(block, k - first);
      for (i32 j = 0; j < columns; j += NR) {
        corners at = corners_of(a, column + j, MIN(NR, columns - j));
        pack_patches(patches + j * KC, a, x, &at, first, terms);
      }
      for (i32 i = row; i < last; i += MAX_ROWS) {
        i32 rows = MIN(MAX_ROWS, last - i);
        pack_rows_of_6(weights, weight + i * k + first, k, 1, rows, terms);
        for (i32 j = 0; j < columns; j += NR)
          for (i32 r = 0; r < rows; r += MR) {
            f32 *to = y + (i + r) * area + j;
            i32 height = MIN(MR, rows - r), width = MIN(NR, columns - j);
            if (first > 0) move_tile(tile, to, area, height, width, 0);
            multiply_packed(tile, first > 0, weights + r * terms, patches + j * KC, terms);
            move_tile(tile, to, area, height, width, 1);
          }
      }
    }
  }
}
