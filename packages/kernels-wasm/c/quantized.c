/*
 * Products with weights of 8 or 4 bits in groups along the sum: w = (code - zero) scale. Codes become floats in registers; a group is summed
 * before it is scaled. Rows of codes are whole groups, so 32 at a time are always there; x ends where it ends.
 */
#include "tile.h"

enum { KC = 512, MAX_ROWS = 96, STEP = 32, ROWS = 4 };

typedef u8 vb __attribute__((vector_size(16)));
typedef vb vb_any __attribute__((aligned(1)));

#define WIDE(b, i) \
  __builtin_convertvector((vi)__builtin_shufflevector(b, (vb){0}, i, 16, 16, 16, i + 1, 16, 16, 16, i + 2, 16, 16, 16, i + 3, 16, 16, 16), vf)

/* Codes i to i + 31 of a row, 16 to a vector. */
INLINE void codes_of(const u8 *row, i32 bits, i32 i, vb *first, vb *second) {
  if (bits == 8) {
    *first = *(const vb_any *)(row + i), *second = *(const vb_any *)(row + i + 16);
    return;
  }
  vb pair = *(const vb_any *)(row + i / 2), low = pair & 15, high = pair >> 4;
  *first = __builtin_shufflevector(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  *second = __builtin_shufflevector(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/* sum += x (code - zero) over 16 codes, for each row. */
INLINE void multiply_codes(vb codes, vf zero, const f32 *const *x, i32 rows, vf *sum) {
  vf w0 = WIDE(codes, 0) - zero, w1 = WIDE(codes, 4) - zero, w2 = WIDE(codes, 8) - zero, w3 = WIDE(codes, 12) - zero;
  for (i32 r = 0; r < rows; r++) {
    sum[r] = vf_fma(vf_load(x[r]), w0, sum[r]), sum[r] = vf_fma(vf_load(x[r] + 4), w1, sum[r]);
    sum[r] = vf_fma(vf_load(x[r] + 8), w2, sum[r]), sum[r] = vf_fma(vf_load(x[r] + 12), w3, sum[r]);
  }
}

/* One output of `rows` rows; tail holds the last terms of each row, filled up with zeros to whole steps. */
INLINE void one_output(const quantized_gemv_args *a, i32 o, i32 rows, i32 bits, const f32 *tail) {
  const u8 *row = a->weight + o * a->rowBytes;
  vf acc[ROWS], sum[ROWS];
  i32 whole = a->k / STEP * STEP;
  for (i32 r = 0; r < rows; r++) acc[r] = vf_set(0.0f);
  for (i32 g = 0; g < a->groups; g++) {
    vf zero = vf_set((f32)a->zeros[o * a->groups + g]), scale = vf_set(a->scales[o * a->groups + g]);
    for (i32 r = 0; r < rows; r++) sum[r] = vf_set(0.0f);
    i32 end = MIN(a->k, (g + 1) * a->group);
    for (i32 i = g * a->group; i < end; i += STEP) {
      vb first, second;
      const f32 *x[ROWS], *next[ROWS];
      codes_of(row, bits, i, &first, &second);
      for (i32 r = 0; r < rows; r++) x[r] = i < whole ? a->x + r * a->k + i : tail + r * STEP, next[r] = x[r] + 16;
      multiply_codes(first, zero, x, rows, sum);
      multiply_codes(second, zero, next, rows, sum);
    }
    for (i32 r = 0; r < rows; r++) acc[r] = vf_fma(sum[r], scale, acc[r]);
  }
  for (i32 r = 0; r < rows; r++) a->y[r * a->n + o] = vf_sum(acc[r]) + (a->bias ? a->bias[o] : 0.0f);
}

#define OUTPUTS(rows, bits) \
  for (i32 o = first; o < last; o++) one_output(a, o, rows, bits, tail);
#define BY_BITS(rows) \
  if (a->bits == 8) { OUTPUTS(rows, 8) } else { OUTPUTS(rows, 4) }

/* Units: blocks of `columns` outputs. */
KERNEL(quantized_gemv) {
  f32 tail[ROWS * STEP];
  i32 whole = a->k / STEP * STEP;
  for (i32 r = 0; r < a->m; r++)
    for (i32 i = 0; i < STEP; i++) tail[r * STEP + i] = whole + i < a->k ? a->x[r * a->k + whole + i] : 0.0f;
  for (i32 unit = begin; unit < end; unit++) {
    i32 first = unit * a->columns, last = MIN(a->n, first + a->columns);
    if (a->m == 1) { BY_BITS(1) } else if (a->m == 2) { BY_BITS(2) } else if (a->m == 3) { BY_BITS(3) } else { BY_BITS(4) }
  }
}

/* Terms first to first + terms of eight outputs from column o on as a panel; `numbers` takes them row by row. */
static void unpack_panel(const quantized_gemm_args *a, f32 *panel, f32 *numbers, i32 o, i32 columns, i32 first, i32 terms) {
  for (i32 c = 0; c < columns; c++) {
    const u8 *row = a->weight + (o + c) * a->rowBytes;
    f32 *out = numbers + c * KC;
    for (i32 i = 0; i < terms; i += STEP) {
      i32 at = (o + c) * a->groups + (first + i) / a->group;
      vf zero = vf_set((f32)a->zeros[at]), scale = vf_set(a->scales[at]);
      vb codes[2];
      codes_of(row, a->bits, first + i, codes, codes + 1);
      for (i32 h = 0; h < 2; h++, out += 16) {
        vf_store(out, (WIDE(codes[h], 0) - zero) * scale), vf_store(out + 4, (WIDE(codes[h], 4) - zero) * scale);
        vf_store(out + 8, (WIDE(codes[h], 8) - zero) * scale), vf_store(out + 12, (WIDE(codes[h], 12) - zero) * scale);
      }
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
