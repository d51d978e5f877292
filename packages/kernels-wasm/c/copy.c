/* Strided copies (slice, concat, pad, transpose, broadcast) and fills. */
#include "vec.h"

/* 4 x 4 elements of a transposition: both sides are read and written in whole vectors. */
INLINE void transpose_4x4(f32 *out, i32 out_row, const f32 *src, i32 src_col) {
  vf x0 = vf_load(src), x1 = vf_load(src + src_col), x2 = vf_load(src + 2 * src_col), x3 = vf_load(src + 3 * src_col);
  vf l0 = __builtin_shufflevector(x0, x1, 0, 4, 1, 5), h0 = __builtin_shufflevector(x0, x1, 2, 6, 3, 7);
  vf l1 = __builtin_shufflevector(x2, x3, 0, 4, 1, 5), h1 = __builtin_shufflevector(x2, x3, 2, 6, 3, 7);
  vf_store(out, __builtin_shufflevector(l0, l1, 0, 1, 4, 5));
  vf_store(out + out_row, __builtin_shufflevector(l0, l1, 2, 3, 6, 7));
  vf_store(out + 2 * out_row, __builtin_shufflevector(h0, h1, 0, 1, 4, 5));
  vf_store(out + 3 * out_row, __builtin_shufflevector(h0, h1, 2, 3, 6, 7));
}

/* Rows of out are columns of src, both side by side in memory; in blocks of 32 x 32, which stay in the cache. */
INLINE void transpose(f32 *out, i32 out_row, const f32 *src, i32 src_col, i32 rows, i32 cols) {
  for (i32 r0 = 0; r0 < rows; r0 += 32)
    for (i32 c0 = 0; c0 < cols; c0 += 32) {
      i32 r1 = MIN(rows, r0 + 32), c1 = MIN(cols, c0 + 32), r = r0;
      for (; r + 4 <= r1; r += 4) {
        i32 c = c0;
        for (; c + 4 <= c1; c += 4) transpose_4x4(out + r * out_row + c, out_row, src + c * src_col + r, src_col);
        for (; c < c1; c++)
          for (i32 i = r; i < r + 4; i++) out[i * out_row + c] = src[c * src_col + i];
      }
      for (; r < r1; r++)
        for (i32 c = c0; c < c1; c++) out[r * out_row + c] = src[c * src_col + r];
    }
}

#define COPY_PLANE(type) \
  { \
    type *out = (type *)a->out + to; \
    const type *src = (const type *)a->src + from; \
    for (i32 r = 0; r < rows; r++) \
      for (i32 c = 0; c < cols; c++) out[r * out_row + c * out_col] = src[r * src_row + c * src_col]; \
  }

KERNEL(copy) {
  i32 blocks = CEIL_DIV(a->shape[4], a->rows), cols = a->shape[5];
  i32 out_row = a->outStride[4], out_col = a->outStride[5], src_row = a->srcStride[4], src_col = a->srcStride[5];
  for (i32 unit = begin; unit < end; unit++) {
    i32 row = unit % blocks * a->rows, rows = MIN(a->rows, a->shape[4] - row), plane = unit / blocks;
    i32 to = row * out_row, from = row * src_row;
    for (i32 axis = 3; axis >= 0; plane /= a->shape[axis], axis--) {
      to += plane % a->shape[axis] * a->outStride[axis];
      from += plane % a->shape[axis] * a->srcStride[axis];
    }
    if (out_col == 1 && src_col == 1 && cols * a->size >= 32) {
      for (i32 r = 0; r < rows; r++)
        __builtin_memcpy(a->out + (u32)(to + r * out_row) * a->size, a->src + (u32)(from + r * src_row) * a->size, cols * a->size);
    } else if (a->size == 4 && out_col == 1 && src_row == 1) {
      transpose((f32 *)a->out + to, out_row, (const f32 *)a->src + from, src_col, rows, cols);
    } else if (a->size == 4) COPY_PLANE(u32)
    else if (a->size == 2) COPY_PLANE(u16)
    else if (a->size == 8) COPY_PLANE(u64)
    else COPY_PLANE(u8)
  }
}

KERNEL(fill) {
  for (i32 unit = begin; unit < end; unit++) {
    i32 first = unit * a->chunk, bytes = MIN(a->chunk, a->bytes - first), i = 0;
    u8 *out = a->out + first;
    for (; i + 16 <= bytes; i += 16) vf_store((f32 *)(out + i), (vf)vi_set(a->word));
    for (; i < bytes; i++) out[i] = (u32)a->word >> (8 * (i & 3));
  }
}
