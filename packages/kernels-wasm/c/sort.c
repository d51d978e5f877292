/*
 * Sorting rows: each value becomes a 64-bit word, its order above its place, so that comparing words is stable. All of a row by merging
 * runs; few of many by a heap of the k smallest words.
 */
#include "vec.h"

enum { FLOATS, SIGNED, UNSIGNED };

/* Orders as the floats do, NaN above all; -0 and 0 are equal. */
INLINE u32 float_key(u32 bits, i32 descending) {
  union { u32 bits; f32 x; } value = {bits};
  if (value.x != value.x) return 0xffffffffu;
  value.x += 0.0f;
  u32 key = value.bits & 0x80000000u ? ~value.bits : value.bits | 0x80000000u;
  return descending ? ~key : key;
}

INLINE u64 word_of(const sort_args *a, u32 bits, i32 place) {
  u32 key = a->type == SIGNED ? bits ^ 0x80000000u : bits;
  key = a->type == FLOATS ? float_key(bits, a->descending) : a->descending ? ~key : key;
  return (u64)key << 32 | (u32)place;
}

INLINE void sift_down(u64 *heap, i32 k, i32 i) {
  u64 word = heap[i];
  for (i32 child; (child = 2 * i + 1) < k; i = child) {
    if (child + 1 < k && heap[child + 1] > heap[child]) child++;
    if (heap[child] <= word) break;
    heap[i] = heap[child];
  }
  heap[i] = word;
}

/* The k smallest words, in order, in heap[0..k]. */
INLINE void select_smallest(const sort_args *a, u64 *heap, const u32 *x) {
  i32 n = a->n, k = a->k;
  for (i32 i = 0; i < k; i++) heap[i] = word_of(a, x[i], i);
  for (i32 i = k / 2 - 1; i >= 0; i--) sift_down(heap, k, i);
  for (i32 i = k; i < n; i++) {
    u64 word = word_of(a, x[i], i);
    if (word < heap[0]) heap[0] = word, sift_down(heap, k, 0);
  }
  for (i32 last = k - 1; last > 0; last--) {
    u64 word = heap[0];
    heap[0] = heap[last], heap[last] = word;
    sift_down(heap, last, 0);
  }
}

/* All words in order; returns which half of the scratch holds them. */
INLINE u64 *merge_sort(const sort_args *a, u64 *from, u64 *to, const u32 *x) {
  i32 n = a->n;
  for (i32 i = 0; i < n; i++) from[i] = word_of(a, x[i], i);
  for (i32 run = 1; run < n; run *= 2) {
    for (i32 start = 0; start < n; start += 2 * run) {
      i32 i = start, middle = MIN(n, start + run), j = middle, end = MIN(n, start + 2 * run);
      for (i32 at = start; at < end; at++) to[at] = j >= end || (i < middle && from[i] < from[j]) ? from[i++] : from[j++];
    }
    u64 *other = from;
    from = to, to = other;
  }
  return from;
}

KERNEL(sort) {
  i32 n = a->n, k = a->k;
  if (k == 0) return;
  for (i32 row = begin; row < end; row++) {
    const u32 *x = (const u32 *)a->x + (u32)row * n;
    u64 *words = a->scratch + (u32)row * 2 * n;
    if (k * 8 <= n) select_smallest(a, words, x);
    else words = merge_sort(a, words, words + n, x);
    for (i32 i = 0; i < k; i++) {
      i32 place = (i32)words[i];
      a->places[(u32)row * k + i] = place;
      ((u32 *)a->values)[(u32)row * k + i] = x[place];
    }
  }
}
