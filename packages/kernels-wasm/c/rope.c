/* Rotary position embedding of rows, in both layouts of the pairs; the inverse rotation is the gradient. */
#include "vec.h"

INLINE void rotate_halves(f32 *y, const f32 *x, const f32 *cos, const f32 *sin, i32 half, f32 sign) {
  for (i32 i = 0; i < half; i += 4) {
    i32 left = half - i;
    vf c = vf_get(cos + i, left, 0.0f), s = vf_get(sin + i, left, 0.0f) * vf_set(sign);
    vf first = vf_get(x + i, left, 0.0f), second = vf_get(x + half + i, left, 0.0f);
    vf_put(y + i, first * c - second * s, left);
    vf_put(y + half + i, second * c + first * s, left);
  }
}

INLINE void rotate_neighbours(f32 *y, const f32 *x, const f32 *cos, const f32 *sin, i32 half, f32 sign) {
  for (i32 i = 0; i < half; i++) {
    f32 c = cos[i], s = sin[i] * sign, first = x[2 * i], second = x[2 * i + 1];
    y[2 * i] = first * c - second * s;
    y[2 * i + 1] = second * c + first * s;
  }
}

KERNEL(rope) {
  i32 half = a->rotary / 2;
  f32 sign = a->inverse ? -1.0f : 1.0f;
  for (i32 unit = begin; unit < end; unit++) {
    i32 row = unit % a->rows, head = unit / a->rows % a->heads, batch = unit / a->rows / a->heads;
    i32 position = a->positions ? a->positions[batch * a->positionBatch + row] : row;
    i32 entry = MAX(0, MIN(position, a->length - 1)) * half;
    const f32 *x = a->x + batch * a->xBatch + head * a->xHead + row * a->xRow;
    f32 *y = a->y + batch * a->yBatch + head * a->yHead + row * a->yRow;
    if (a->interleaved) rotate_neighbours(y, x, a->cos + entry, a->sin + entry, half, sign);
    else rotate_halves(y, x, a->cos + entry, a->sin + entry, half, sign);
    for (i32 i = 2 * half; i < a->dim; i++) y[i] = x[i];
  }
}
