/* The patches of an image as the columns of a matrix, so that convolution is a product. */
#include "vec.h"

/* The input place that position p of the padded, dilated axis holds, or -1. */
INLINE i32 source(i32 p, i32 dilation, i32 extent) { return p < 0 || p % dilation || p / dilation >= extent ? -1 : p / dilation; }

KERNEL(patches) {
  i32 window = a->kernelH * a->kernelW, rows = a->channels * window, area = a->outH * a->outW;
  for (i32 unit = begin; unit < end; unit++) {
    i32 row = unit % rows, matrix = unit / rows, group = matrix % a->groups, batch = matrix / a->groups;
    i32 channel = group * a->channels + row / window, kh = row % window / a->kernelW, kw = row % a->kernelW;
    const f32 *x = a->x + batch * a->xBatch + channel * a->xChannel;
    f32 *out = a->out + (u32)unit * area;
    for (i32 i = 0; i < a->outH; i++, out += a->outW) {
      i32 h = source(i * a->strideH + kh * a->dilationH - a->padH, a->inputDilationH, a->height);
      for (i32 j = 0; j < a->outW; j++) {
        i32 w = source(j * a->strideW + kw * a->dilationW - a->padW, a->inputDilationW, a->width);
        out[j] = h < 0 || w < 0 ? 0.0f : x[h * a->xRow + w * a->xCol];
      }
    }
  }
}
