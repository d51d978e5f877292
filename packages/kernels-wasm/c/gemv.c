/* Products of up to four rows with a matrix, at the speed the matrix is read. */
#include "vmath.h"

/* Columns side by side (wCol = 1): the sums stay in the cache, and four rows of w at a time are read along and added. */
INLINE void by_rows(const gemv_args *a, f32 *out, const f32 *x, i32 column, i32 columns) {
  for (i32 c = 0; c < columns; c += 4) vf_put(out + c, vf_set(0.0f), columns - c);
  i32 i = 0;
  for (; i + 4 <= a->k; i += 4) {
    const f32 *w0 = a->w + i * a->wRow + column, *w1 = w0 + a->wRow, *w2 = w1 + a->wRow, *w3 = w2 + a->wRow;
    vf x0 = vf_set(x[i]), x1 = vf_set(x[i + 1]), x2 = vf_set(x[i + 2]), x3 = vf_set(x[i + 3]);
    i32 c = 0;
    for (; c + 8 <= columns; c += 8) {
      vf s = vf_load(out + c), t = vf_load(out + c + 4);
      s = vf_fma(x0, vf_load(w0 + c), s), t = vf_fma(x0, vf_load(w0 + c + 4), t);
      s = vf_fma(x1, vf_load(w1 + c), s), t = vf_fma(x1, vf_load(w1 + c + 4), t);
      s = vf_fma(x2, vf_load(w2 + c), s), t = vf_fma(x2, vf_load(w2 + c + 4), t);
      s = vf_fma(x3, vf_load(w3 + c), s), t = vf_fma(x3, vf_load(w3 + c + 4), t);
      vf_store(out + c, s), vf_store(out + c + 4, t);
    }
    for (; c < columns; c += 4) {
      i32 left = columns - c;
      vf s = vf_fma(x0, vf_get(w0 + c, left, 0.0f), vf_get(out + c, left, 0.0f));
      s = vf_fma(x2, vf_get(w2 + c, left, 0.0f), vf_fma(x1, vf_get(w1 + c, left, 0.0f), s));
      vf_put(out + c, vf_fma(x3, vf_get(w3 + c, left, 0.0f), s), left);
    }
  }
  for (; i < a->k; i++)
    for (i32 c = 0; c < columns; c += 4) {
      vf w = vf_get(a->w + i * a->wRow + column + c, columns - c, 0.0f);
      vf_put(out + c, vf_fma(vf_set(x[i]), w, vf_get(out + c, columns - c, 0.0f)), columns - c);
    }
}

/* Terms side by side (wRow = 1): one column after another, so that memory is read in one stream. */
INLINE void by_columns(const gemv_args *a, f32 *out, const f32 *x, i32 column, i32 columns) {
  i32 k = a->k;
  for (i32 c = 0; c < columns; c++) {
    const f32 *w = a->w + (column + c) * a->wCol;
    vf s0 = vf_set(0.0f), s1 = s0, s2 = s0, s3 = s0;
    i32 i = 0;
    for (; i + 16 <= k; i += 16) {
      s0 = vf_fma(vf_load(x + i), vf_load(w + i), s0), s1 = vf_fma(vf_load(x + i + 4), vf_load(w + i + 4), s1);
      s2 = vf_fma(vf_load(x + i + 8), vf_load(w + i + 8), s2), s3 = vf_fma(vf_load(x + i + 12), vf_load(w + i + 12), s3);
    }
    for (; i + 4 <= k; i += 4) s0 = vf_fma(vf_load(x + i), vf_load(w + i), s0);
    if (i < k) s1 = vf_fma(vf_load_part(x + i, k - i, 0.0f), vf_load_part(w + i, k - i, 0.0f), s1);
    out[c] = vf_sum((s0 + s1) + (s2 + s3));
  }
}

/*
 * Columns in panels of 8 (pack_b): memory is read in one stream, for all rows of x while a panel is near. The sums, three of every column, stay in registers: V8 loads what an
 * iteration needs before it adds, and four would not fit.
 */
INLINE void by_panels(const gemv_args *a, i32 column, i32 columns) {
  i32 k = a->k;
  for (i32 c = column; c < column + columns; c += 8)
    for (i32 row = 0; row < a->m; row++) {
      const f32 *w = a->w + c * k, *x = a->x + row * a->xRow;
      vf s0 = vf_set(0.0f), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0;
      i32 i = 0;
      for (; i + 3 <= k; i += 3, w += 24) {
        vf x0 = vf_set(x[i]), x1 = vf_set(x[i + 1]), x2 = vf_set(x[i + 2]);
        s0 = vf_fma(x0, vf_load(w), s0), s1 = vf_fma(x0, vf_load(w + 4), s1);
        s2 = vf_fma(x1, vf_load(w + 8), s2), s3 = vf_fma(x1, vf_load(w + 12), s3);
        s4 = vf_fma(x2, vf_load(w + 16), s4), s5 = vf_fma(x2, vf_load(w + 20), s5);
      }
      for (; i < k; i++, w += 8) {
        vf xi = vf_set(x[i]);
        s0 = vf_fma(xi, vf_load(w), s0), s1 = vf_fma(xi, vf_load(w + 4), s1);
      }
      f32 *out = a->y + row * a->yRow + c;
      i32 left = column + columns - c;
      vf_put(out, (s0 + s2) + s4, left);
      if (left > 4) vf_put(out + 4, (s1 + s3) + s5, left - 4);
    }
}

INLINE void finish(const gemv_args *a, f32 *y, i32 row, i32 column, i32 columns) {
  i32 at = row * a->yRow + column;
  for (i32 c = 0; c < columns; c += 4) {
    i32 left = columns - c;
    vf v = vf_get(y + c, left, 0.0f) * vf_set(a->alpha);
    if (a->bias) v = v + vf_get(a->bias + column + c, left, 0.0f);
    if (a->pre) vf_put(a->pre + at + c, v, left);
    v = v_activate(a->activation, v);
    if (a->residual) v = v + vf_get(a->residual + at + c, left, 0.0f);
    vf_put(y + c, v, left);
  }
}

/* Units that one thread takes together are read together, as far as their sums fit the cache. */
enum { SUMS = 4096 };

KERNEL(gemv) {
  i32 last = MIN(end * a->columns, a->n);
  for (i32 column = begin * a->columns; column < last; column += SUMS) {
    i32 columns = MIN(SUMS, last - column);
    if (a->packed) by_panels(a, column, columns);
    for (i32 row = 0; row < a->m; row++) {
      const f32 *x = a->x + row * a->xRow;
      f32 *y = a->y + row * a->yRow + column;
      if (!a->packed && a->wCol == 1) by_rows(a, y, x, column, columns);
      if (!a->packed && a->wCol != 1) by_columns(a, y, x, column, columns);
      finish(a, y, row, column, columns);
    }
  }
}
