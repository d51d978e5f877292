/* Running reductions along the middle axis of [outer, n, inner], forwards or backwards, each element taken in before or after its place is written. */
#include "vec.h"

enum { SUM, LARGEST, SMALLEST, PRODUCT };

INLINE f32 step(i32 op, f32 s, f32 x) { return op == SUM ? s + x : op == PRODUCT ? s * x : op == LARGEST ? f_max(s, x) : f_min(s, x); }

INLINE void cumulate_column(i32 op, f32 *out, const f32 *x, i32 n, i32 stride, i32 exclusive) {
  f32 s = op == SUM ? 0.0f : op == PRODUCT ? 1.0f : op == LARGEST ? -INFINITE : INFINITE;
  for (i32 i = 0; i < n; i++, out += stride, x += stride) {
    f32 next = step(op, s, *x);
    *out = exclusive ? s : next;
    s = next;
  }
}

/* Each column of the unit's block, from the end it starts at. */
#define EACH_COLUMN(call) \
  i32 blocks = CEIL_DIV(a->inner, a->columns); \
  for (i32 unit = begin; unit < end; unit++) { \
    i32 o = unit / blocks, first = unit % blocks * a->columns, last = MIN(a->inner, first + a->columns); \
    for (i32 e = first; e < last; e++) { \
      u32 at = (u32)o * a->n * a->inner + e; \
      i32 stride = a->inner; \
      if (a->reverse) at += (u32)(a->n - 1) * a->inner, stride = -stride; \
      call; \
    } \
  }

INLINE void cumulate_units(i32 op, const cumulate_args *a, i32 begin, i32 end) {
  EACH_COLUMN(cumulate_column(op, a->out + at, a->x + at, a->n, stride, a->exclusive))
}

KERNEL(cumulate) {
  switch (a->op) {
    case SUM: return cumulate_units(SUM, a, begin, end);
    case LARGEST: return cumulate_units(LARGEST, a, begin, end);
    case SMALLEST: return cumulate_units(SMALLEST, a, begin, end);
    default: return cumulate_units(PRODUCT, a, begin, end);
  }
}

/* Words of either sign: flipping the top bit orders unsigned ones as signed. */
INLINE void cumulate_words(u32 *out, const u32 *x, const cumulate_i32_args *a, i32 stride) {
  u32 flip = a->isUnsigned ? 0x80000000u : 0u;
  u32 s = a->op == SUM ? 0u : a->op == PRODUCT ? 1u : a->op == LARGEST ? 0x80000000u ^ flip : 0x7fffffffu ^ flip;
  for (i32 i = 0; i < a->n; i++, out += stride, x += stride) {
    i32 greater = (i32)(*x ^ flip) > (i32)(s ^ flip);
    u32 next = a->op == SUM ? s + *x : a->op == PRODUCT ? s * *x : greater == (a->op == LARGEST) ? *x : s;
    *out = a->exclusive ? s : next;
    s = next;
  }
}

KERNEL(cumulate_i32) { EACH_COLUMN(cumulate_words((u32 *)a->out + at, (const u32 *)a->x + at, a, stride)) }
