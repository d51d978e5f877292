/*
 * Reductions over the middle axis of [outer, n, inner], in an order that depends on the shape alone. Sums go by blocks of 256 terms,
 * whose totals are then added, so that the error grows slowly.
 */
#include "rows.h"

enum { SUM, LARGEST, SMALLEST, PRODUCT, SQUARES, SUM_BLOCK = 256 };

INLINE f32 neutral(i32 op) { return op == LARGEST ? -INFINITE : op == SMALLEST ? INFINITE : op == PRODUCT ? 1.0f : 0.0f; }
INLINE vf combine(i32 op, vf s, vf x) {
  return op == LARGEST ? vf_max(s, x) : op == SMALLEST ? vf_min(s, x) : op == PRODUCT ? s * x : op == SQUARES ? vf_fma(x, x, s) : s + x;
}
/* How two partial results of an operation go together. */
INLINE i32 merging(i32 op) { return op == SQUARES ? SUM : op; }
INLINE f32 fold(i32 op, vf s) {
  return op == LARGEST ? vf_highest(s) : op == SMALLEST ? vf_lowest(s) : op == PRODUCT ? (s[0] * s[1]) * (s[2] * s[3]) : vf_sum(s);
}

INLINE f32 reduce_row(i32 op, const f32 *x, i32 n) {
  vf total = vf_set(neutral(op));
  for (i32 from = 0; from < n; from += SUM_BLOCK * 16) {
    i32 count = MIN(SUM_BLOCK * 16, n - from);
    vf s0 = vf_set(neutral(op)), s1 = s0, s2 = s0, s3 = s0;
#define STEP(s, at, left) s = combine(op, s, vf_get(x + from + (at), left, op == SQUARES ? 0.0f : neutral(op)));
    OVER_ROW(count, STEP)
#undef STEP
    vf block = combine(merging(op), combine(merging(op), s0, s1), combine(merging(op), s2, s3));
    total = combine(merging(op), total, block);
  }
  return fold(op, total);
}

INLINE void reduce_columns(i32 op, f32 *out, const f32 *x, i32 n, i32 inner, i32 columns) {
  for (i32 c = 0; c < columns; c += 8) {
    i32 left = MIN(8, columns - c);
    vf t0 = vf_set(neutral(op)), t1 = t0;
    for (i32 from = 0; from < n; from += SUM_BLOCK) {
      vf s0 = vf_set(neutral(op)), s1 = s0;
      const f32 *p = x + (u32)from * inner + c;
      for (i32 i = MIN(SUM_BLOCK, n - from); i > 0; i--, p += inner) {
        s0 = combine(op, s0, vf_get(p, left, 0.0f));
        if (left > 4) s1 = combine(op, s1, vf_get(p + 4, left - 4, 0.0f));
      }
      t0 = combine(merging(op), t0, s0), t1 = combine(merging(op), t1, s1);
    }
    vf_put(out + c, t0, left);
    if (left > 4) vf_put(out + c + 4, t1, left - 4);
  }
}

INLINE void reduce_units(i32 op, const reduce_f32_args *a, i32 begin, i32 end) {
  i32 blocks = CEIL_DIV(a->inner, a->columns);
  for (i32 unit = begin; unit < end; unit++) {
    i32 o = unit / blocks, first = unit % blocks * a->columns;
    const f32 *x = a->x + (u32)o * a->n * a->inner + first;
    if (a->inner == 1) a->out[o] = reduce_row(op, x, a->n);
    else reduce_columns(op, a->out + (u32)o * a->inner + first, x, a->n, a->inner, MIN(a->columns, a->inner - first));
  }
}

KERNEL(reduce_f32) {
  switch (a->op) {
    case SUM: return reduce_units(SUM, a, begin, end);
    case LARGEST: return reduce_units(LARGEST, a, begin, end);
    case SMALLEST: return reduce_units(SMALLEST, a, begin, end);
    case PRODUCT: return reduce_units(PRODUCT, a, begin, end);
    default: return reduce_units(SQUARES, a, begin, end);
  }
}

/* What the remaining reductions share: element e of the unit's block, its column of x, n terms `inner` apart. */
#define EACH_COLUMN(...) \
  i32 blocks = CEIL_DIV(a->inner, a->columns); \
  for (i32 unit = begin; unit < end; unit++) { \
    i32 o = unit / blocks, first = unit % blocks * a->columns, last = MIN(a->inner, first + a->columns); \
    for (i32 e = first; e < last; e++) { \
      u32 at = (u32)o * a->n * a->inner + e; \
      __VA_ARGS__ \
    } \
  }

KERNEL(reduce_i32) {
  EACH_COLUMN({
    i32 op = a->op;
    u32 sign = a->isUnsigned ? 0x80000000u : 0u;
    u32 s = op == PRODUCT ? 1u : op == LARGEST ? 0x80000000u ^ sign : op == SMALLEST ? 0x7fffffffu ^ sign : 0u;
    for (i32 i = 0; i < a->n; i++, at += a->inner) {
      u32 x = a->x[at];
      i32 greater = (i32)(x ^ sign) > (i32)(s ^ sign);
      s = op == SUM ? s + x : op == PRODUCT ? s * x : op == SQUARES ? s + x * x : greater == (op == LARGEST) ? x : s;
    }
    a->out[o * a->inner + e] = s;
  })
}

KERNEL(reduce_bool) {
  EACH_COLUMN({
    u8 wanted = a->op == LARGEST;
    u8 s = !wanted;
    for (i32 i = 0; i < a->n; i++, at += a->inner)
      if ((a->x[at] != 0) == wanted) {
        s = wanted;
        break;
      }
    a->out[o * a->inner + e] = s;
  })
}

KERNEL(arg_reduce_i32) {
  EACH_COLUMN({
    u32 flip = a->isUnsigned ? 0x80000000u : 0u, best = a->n > 0 ? a->x[at] : 0u;
    i32 place = 0;
    for (i32 i = 1; i < a->n; i++) {
      u32 x = a->x[at + (u32)i * a->inner];
      i32 left = (i32)(x ^ flip), right = (i32)(best ^ flip);
      if (a->op == LARGEST ? left > right : left < right) best = x, place = i;
    }
    a->out[o * a->inner + e] = place;
  })
}

KERNEL(arg_reduce) {
  EACH_COLUMN({
    f32 best = a->n > 0 ? a->x[at] : 0.0f;
    i32 place = 0;
    for (i32 i = 1; i < a->n && best == best; i++) {
      f32 x = a->x[at + (u32)i * a->inner];
      if (x != x || (a->op == LARGEST ? x > best : x < best)) best = x, place = i;
    }
    a->out[o * a->inner + e] = place;
  })
}
