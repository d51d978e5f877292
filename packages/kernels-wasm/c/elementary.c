/* Elementary functions, element by element. */
#include "vmath.h"

#define EACH(call) \
  for (; i < last; i += 4) { \
    vf x = vf_get(a->x + i, last - i, 0.0f); \
    vf_put(a->y + i, call, last - i); \
  } \
  return

KERNEL(elementary) {
  i32 i = begin * a->chunk, last = MIN(a->count, end * a->chunk);
  switch (a->function) {
    case 0: EACH(v_exp(x));
    case 1: EACH(v_log(x));
    case 2: EACH(v_tanh(x));
    case 3: EACH(v_erf(x));
    default: EACH(v_sigmoid(x));
  }
}
