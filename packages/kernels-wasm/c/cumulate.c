/* Running reductions along the middle axis of [outer, n, inner], forwards or backwards. */
#include "vec.h"

enum { SUM, LARGEST, SMALLEST, PRODUCT };

INLINE f32 step(i32 op, f32 s, f32 x) { return op == SUM ? s + x : op == PRODUCT ? s * x : op == LARGEST ? f_max(s, x) : f_min(s, x); }

INLINE void cumulate_column(i32 op, f32 *out, const f32 *x, i32 n, i32 stride) {
  f32 s = op == SUM ? 0.0f : op == PRODUCT ? 1.0f : op == LARGEST ? -INFINITE : INFINITE;
  for (i32 i = 0; i < n; i++) out[i * stride] = s = step(op, s, x[i * stride]);
}

KERNEL(cumulate) {
  i32 blocks = CEIL_DIV(a->inner, a->columns);
  for (i32 unit = begin; unit < end; unit++) {
    i32 o = unit / blocks, first = unit % blocks * a->columns, last = MIN(a->inner, first + a->columns);
    for (i32 e = first; e < last; e++) {
      u32 at = (u32)o * a->n * a->inner + e;
      i32 stride = a->inner;
      if (a->reverse) at += (u32)(a->n - 1) * a->inner, stride = -stride;
      switch (a->op) {
        case SUM: cumulate_column(SUM, a->out + at, a->x + at, a->n, stride); break;
        case LARGEST: cumulate_column(LARGEST, a->out + at, a->x + at, a->n, stride); break;
        case SMALLEST: cumulate_column(SMALLEST, a->out + at, a->x + at, a->n, stride); break;
        default: cumulate_column(PRODUCT, a->out + at, a->x + at, a->n, stride);
      }
    }
  }
}
