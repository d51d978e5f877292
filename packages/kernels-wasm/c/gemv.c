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

/* Terms side by side (wRow = 1): four columns at a time. */
INLINE void by_columns(const gemv_args *a, f32 *out, const f32 *x, i32 column, i32 columns) {
  i32 k = a->k, stride = a->wCol;
  for (i32 c = 0; c < columns; c += 4) {
    const f32 *w0 = a->w + (column + c) * stride, *w1 = w0 + MIN(1, columns - c - 1) * stride;
    const f32 *w2 = w0 + MIN(2, columns - c - 1) * stride, *w3 = w0 + MIN(3, columns - c - 1) * stride;
    vf s0 = vf_set(0.0f), s1 = s0, s2 = s0, s3 = s0, v;
    i32 i = 0;
    for (; i + 4 <= k; i += 4) {
      v = vf_load(x + i);
      s0 = vf_fma(v, vf_load(w0 + i), s0), s1 = vf_fma(v, vf_load(w1 + i), s1);
      s2 = vf_fma(v, vf_load(w2 + i), s2), s3 = vf_fma(v, vf_load(w3 + i), s3);
    }
    if (i < k) {
      i32 left = k - i;
      v = vf_load_part(x + i, left, 0.0f);
      s0 = vf_fma(v, vf_load_part(w0 + i, left, 0.0f), s0), s1 = vf_fma(v, vf_load_part(w1 + i, left, 0.0f), s1);
      s2 = vf_fma(v, vf_load_part(w2 + i, left, 0.0f), s2), s3 = vf_fma(v, vf_load_part(w3 + i, left, 0.0f), s3);
    }
    vf_put(out + c, (vf){vf_sum(s0), vf_sum(s1), vf_sum(s2), vf_sum(s3)}, columns - c);
  }
}

KERNEL(gemv) {
  for (i32 unit = begin; unit < end; unit++) {
    i32 column = unit * a->columns, columns = MIN(a->columns, a->n - column);
    for (i32 row = 0; row < a->m; row++) {
      i32 at = row * a->yRow + column;
      f32 *y = a->y + at;
      if (a->wCol == 1) by_rows(a, y, a->x + row * a->xRow, column, columns);
      else by_columns(a, y, a->x + row * a->xRow, column, columns);
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
  }
}
