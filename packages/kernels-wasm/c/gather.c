/* Gather and scatter-add along an axis. Scatter-add walks the entries in order and splits by columns, so that its sums have one order. */
#include "vec.h"

INLINE i32 clamped(i32 index, i32 extent) { return MAX(0, MIN(index, extent - 1)); }

#define GATHER_ELEMENTS(type) \
  for (i32 i = 0; i < a->inner; i++) \
    ((type *)a->out)[(u32)unit * a->inner + i] = ((const type *)a->src)[o * a->srcOuter + clamped(index[i * a->indexInner], a->axis) * a->inner + i]

KERNEL(gather) {
  for (i32 unit = begin; unit < end; unit++) {
    i32 o = unit / a->count, j = unit % a->count;
    const i32 *index = a->indices + o * a->indexOuter + j * a->indexCount;
    if (a->indexInner == 0) {
      u32 bytes = a->inner * a->size;
      const u8 *src = a->src + ((u32)o * a->srcOuter + clamped(index[0], a->axis) * a->inner) * a->size;
      __builtin_memcpy(a->out + (u32)unit * bytes, src, bytes);
    } else if (a->size == 4) GATHER_ELEMENTS(u32);
    else if (a->size == 2) GATHER_ELEMENTS(u16);
    else if (a->size == 8) GATHER_ELEMENTS(u64);
    else GATHER_ELEMENTS(u8);
  }
}

/* The same for words, which wrap. */
KERNEL(scatter_add_i32) {
  i32 blocks = CEIL_DIV(a->inner, a->columns);
  for (i32 unit = begin; unit < end; unit++) {
    i32 o = unit / blocks, first = unit % blocks * a->columns, columns = MIN(a->columns, a->inner - first);
    u32 *out = (u32 *)a->out + (u32)o * a->axis * a->inner + first;
    const u32 *src = (const u32 *)a->src + (u32)o * a->count * a->inner + first;
    const i32 *index = a->indices + o * a->indexOuter + first * a->indexInner;
    for (i32 row = 0; row < a->axis; row++)
      for (i32 i = 0; i < columns; i++) out[(u32)row * a->inner + i] = 0u;
    for (i32 j = 0; j < a->count; j++, src += a->inner, index += a->indexCount)
      for (i32 i = 0; i < columns; i++) out[(u32)clamped(index[i * a->indexInner], a->axis) * a->inner + i] += src[i];
  }
}

/* Rows of x to rows starts[batch] + i of a cache; what falls outside is dropped. */
KERNEL(write_rows) {
  for (i32 unit = begin; unit < end; unit++) {
    i32 row = unit % a->rows, head = unit / a->rows % a->heads, batch = unit / a->rows / a->heads;
    i32 to = a->starts[batch] + row, piece = batch, extent = a->capacity;
    if (to < 0 || (a->ring ? row < a->rows - a->capacity : to >= a->capacity)) continue;
    if (a->ring) to %= a->capacity;
    if (a->pages) {
      i32 page = a->pages[batch * a->capacity / a->page + to / a->page];
      piece = MAX(0, MIN(page, a->pool - 1)), to %= a->page, extent = a->page;
    }
    const u8 *src = a->src + (u32)(batch * a->srcBatch + head * a->srcHead + row * a->srcRow) * a->size;
    u32 bytes = a->dim * a->size;
    __builtin_memcpy(a->out + (u32)((piece * a->heads + head) * extent + to) * bytes, src, bytes);
  }
}

KERNEL(scatter_add) {
  i32 blocks = CEIL_DIV(a->inner, a->columns);
  for (i32 unit = begin; unit < end; unit++) {
    i32 o = unit / blocks, first = unit % blocks * a->columns, columns = MIN(a->columns, a->inner - first);
    f32 *out = a->out + (u32)o * a->axis * a->inner + first;
    const f32 *src = a->src + (u32)o * a->count * a->inner + first;
    const i32 *index = a->indices + o * a->indexOuter;
    if (a->zero)
      for (i32 row = 0; row < a->axis; row++)
        for (i32 i = 0; i < columns; i++) out[(u32)row * a->inner + i] = 0.0f;
    for (i32 j = 0; j < a->count; j++, src += a->inner, index += a->indexCount) {
      if (a->indexInner == 0) {
        f32 *to = out + (u32)clamped(index[0], a->axis) * a->inner;
        for (i32 i = 0; i < columns; i += 4) vf_put(to + i, vf_get(to + i, columns - i, 0.0f) + vf_get(src + i, columns - i, 0.0f), columns - i);
      } else {
        for (i32 i = 0; i < columns; i++) out[(u32)clamped(index[(first + i) * a->indexInner], a->axis) * a->inner + i] += src[i];
      }
    }
  }
}
