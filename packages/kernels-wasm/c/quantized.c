/*
 * Products with weights of 8 or 4 bits in groups along the sum: w = (code - zero) scale. Codes become floats in registers; a group is summed
 * before it is scaled. Rows of codes are whole groups, so 32 at a time are always there; x ends where it ends.
 */
#include "bytes.h"
#include "tile.h"

enum { KC = 512, MAX_ROWS = 96, STEP = 32, ROWS = 4 };

/* Codes i to i + 31 of a row less their zero point. */
INLINE void steps_of(const u8 *row, i32 bits, i32 i, vs zero, vf *w) {
  vb first, second;
  if (bits == 8) first = *(const vb_any *)(row + i), second = *(const vb_any *)(row + i + 16);
  else {
    vb pair = *(const vb_any *)(row + i / 2), low = pair & 15, high = (vb)((vus)pair >> 4) & 15;
    first = __builtin_shufflevector(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    second = __builtin_shufflevector(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  }
  vs a = LOW8(first) - zero, b = HIGH8(first) - zero, c = LOW8(second) - zero, d = HIGH8(second) - zero;
  w[0] = LOW4(a), w[1] = HIGH4(a), w[2] = LOW4(b), w[3] = HIGH4(b);
  w[4] = LOW4(c), w[5] = HIGH4(c), w[6] = LOW4(d), w[7] = HIGH4(d);
}

/* One output of `rows` rows, each summed in `chains` parts, so that additions need not wait for each other; tail holds the last terms of each row, filled up with zeros. */
INLINE void one_output(const quantized_gemv_args *a, i32 o, i32 rows, i32 chains, i32 bits, const f32 *tail) {
  const u8 *row = a->weight + o * a->rowBytes;
  vf acc[ROWS], sum[ROWS * 4], w[8];
  i32 whole = a->k / STEP * STEP;
  for (i32 r = 0; r < rows; r++) acc[r] = vf_set(0.0f);
  for (i32 g = 0; g < a->groups; g++) {
    vs zero = vs_set(a->zeros[o * a->groups + g]);
    vf scale = vf_set(a->scales[o * a->groups + g]);
    for (i32 r = 0; r < rows * chains; r++) sum[r] = vf_set(0.0f);
    i32 end = MIN(a->k, (g + 1) * a->group);
    for (i32 i = g * a->group; i < end; i += STEP) {
      steps_of(row, bits, i, zero, w);
      for (i32 r = 0; r < rows; r++) {
        const f32 *x = i < whole ? a->x + r * a->k + i : tail + r * STEP;
        for (i32 j = 0; j < 8; j++) sum[r * chains + j % chains] = vf_fma(vf_load(x + 4 * j), w[j], sum[r * chains + j % chains]);
      }
    }
    for (i32 r = 0; r < rows; r++) {
      vf all = sum[r * chains];
      for (i32 j = 1; j < chains; j++) all = all + sum[r * chains + j];
      acc[r] = vf_fma(all, scale, acc[r]);
    }
  }
  for (i32 r = 0; r < rows; r++) a->y[r * a->n + o] = vf_sum(acc[r]) + (a->bias ? a->bias[o] : 0.0f);
}

#define OUTPUTS(rows, chains, bits) \
  for (i32 o = first; o < last; o++) one_output(a, o, rows, chains, bits, tail);
#define BY_BITS(rows, chains) \
  if (a->bits == 8) { OUTPUTS(rows, chains, 8) } else { OUTPUTS(rows, chains, 4) }

/* Units: blocks of `columns` outputs. */
KERNEL(quantized_gemv) {
  f32 tail[ROWS * STEP];
  i32 whole = a->k / STEP * STEP;
  for (i32 r = 0; r < a->m; r++)
    for (i32 i = 0; i < STEP; i++) tail[r * STEP + i] = whole + i < a->k ? a->x[r * a->k + whole + i] : 0.0f;
  for (i32 unit = begin; unit < end; unit++) {
    i32 first = unit * a->columns, last = MIN(a->n, first + a->columns);
    if (a->m == 1) { BY_BITS(1, 4) } else if (a->m == 2) { BY_BITS(2, 2) } else if (a->m == 3) { BY_BITS(3, 1) } else { BY_BITS(4, 1) }
  }
}

/* Terms first to first + terms of eight outputs from column o on as a panel; `numbers` takes them row by row. */
static void unpack_panel(const quantized_gemm_args *a, f32 *panel, f32 *numbers, i32 o, i32 columns, i32 first, i32 terms) {
  for (i32 c = 0; c < columns; c++) {
    const u8 *row = a->weight + (o + c) * a->rowBytes;
    f32 *out = numbers + c * KC;
    for (i32 i = 0; i < terms; i += STEP) {
      i32 at = (o + c) * a->groups + (first + i) / a->group;
      vf scale = vf_set(a->scales[at]);
      vf w[8];
      steps_of(row, a->bits, first + i, vs_set(a->zeros[at]), w);
      for (i32 j = 0; j < 8; j++) vf_store(out + i + 4 * j, w[j] * scale);
    }
  }
  pack_panel(panel, numbers, 1, KC, columns, terms);
}

/* Units: tiles of mTile (at most 96) rows x nTile (at most 64, a multiple of 8) outputs, rows of tiles fastest. */
KERNEL(quantized_gemm) {
  f32 panels[MAX_ROWS * KC], panel[NR * KC], numbers[NR * KC], partial[MAX_ROWS * 64];
  i32 m_tiles = CEIL_DIV(a->m, a->mTile);
  for (i32 unit = begin; unit < end; unit++) {
    i32 row = unit % m_tiles * a->mTile, column = unit / m_tiles * a->nTile;
    i32 rows = MIN(a->mTile, a->m - row), columns = MIN(a->nTile, a->n - column);
    for (i32 first = 0; first < a->k || first == 0; first += KC) {
      i32 terms = MIN(KC, a->k - first);
      pack_rows_of_6(panels, a->x + row * a->k + first, a->k, 1, rows, terms);
      for (i32 j = 0; j < columns; j += NR) {
        unpack_panel(a, panel, numbers, column + j, MIN(NR, columns - j), first, terms);
        for (i32 i = 0; i < rows; i += MR)
          multiply_packed(partial + j * MAX_ROWS + i * NR, first > 0, panels + i * terms, panel, terms);
      }
    }
    for (i32 r = 0; r < rows; r++)
      for (i32 j = 0; j < columns; j += 4) {
        i32 left = columns - j, o = column + j;
        vf v = vf_load(partial + j / NR * NR * MAX_ROWS + r * NR + j % NR);
        if (a->bias) v = v + vf_get(a->bias + o, left, 0.0f);
        vf_put(a->y + (row + r) * a->n + o, v, left);
      }
  }
}
