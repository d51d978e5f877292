/*
 * Vectors of four floats. Arithmetic is written with the compiler's vector operators (+ - * /), the rest with the few functions
 * below, so that the same sources compile for WebAssembly and natively.
 */
#ifndef VEC_H
#define VEC_H

typedef float f32;
typedef double f64;
typedef int i32;
typedef unsigned u32;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned long long u64;

#include "abi.gen.h"

/* A kernel processes the units [begin, end) of the work that its argument words describe. */
#ifdef __wasm__
#define KERNEL(name) __attribute__((export_name(#name), visibility("default"))) void name(i32 begin, i32 end, const name##_args *a)
#else
#define KERNEL(name) void name(i32 begin, i32 end, const name##_args *a)
#endif

#define INLINE static inline __attribute__((always_inline))
/* The compiler moves no load or store across. */
#define FENCE __asm__ volatile("" ::: "memory")
#define LANES 4

typedef f32 vf __attribute__((vector_size(16)));
typedef i32 vi __attribute__((vector_size(16)));
typedef u32 vu __attribute__((vector_size(16)));
typedef f32 vf_any __attribute__((vector_size(16), aligned(4)));
typedef i32 vi_any __attribute__((vector_size(16), aligned(4)));

INLINE vf vf_load(const f32 *p) { return *(const vf_any *)p; }
INLINE void vf_store(f32 *p, vf v) { *(vf_any *)p = v; }
INLINE vf vf_set(f32 x) { return (vf){x, x, x, x}; }
#ifdef __wasm__
/* A constant that stays in a local outside the loops that use it: V8 13 (Node 24) makes one written in a loop anew at every turn. */
INLINE vf vf_constant(f32 x) {
  __asm__("" : "+r"(x));
  return vf_set(x);
}
#else
INLINE vf vf_constant(f32 x) { return vf_set(x); }
#endif
INLINE vi vi_load(const i32 *p) { return *(const vi_any *)p; }
INLINE void vi_store(i32 *p, vi v) { *(vi_any *)p = v; }
INLINE vi vi_set(i32 x) { return (vi){x, x, x, x}; }

/* Lane-wise choice: where `mask` is all ones a, else b. */
INLINE vf vf_select(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }

#ifdef __wasm__
INLINE vf vf_min(vf a, vf b) { return __builtin_wasm_min_f32x4(a, b); }
INLINE vf vf_max(vf a, vf b) { return __builtin_wasm_max_f32x4(a, b); }
/* One instruction each: where the first is NaN it stays, a NaN in the second is passed over. */
INLINE vf vf_at_most(vf a, vf limit) { return __builtin_wasm_pmin_f32x4(a, limit); }
INLINE vf vf_at_least(vf a, vf limit) { return __builtin_wasm_pmax_f32x4(a, limit); }
INLINE vf vf_abs(vf a) { return __builtin_wasm_abs_f32x4(a); }
INLINE vf vf_sqrt(vf a) { return __builtin_wasm_sqrt_f32x4(a); }
INLINE f32 f_sqrt(f32 a) { return __builtin_sqrtf(a); }
INLINE f32 f_min(f32 a, f32 b) { return __builtin_wasm_min_f32(a, b); }
INLINE f32 f_max(f32 a, f32 b) { return __builtin_wasm_max_f32(a, b); }
#ifdef FMA
INLINE vf vf_fma(vf a, vf b, vf c) { return __builtin_wasm_relaxed_madd_f32x4(a, b, c); }
#else
INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
#endif
#else
/* Minimum and maximum pass NaN on. */
INLINE vf vf_min(vf a, vf b) { return vf_select((a < b) | (a != a), a, b); }
INLINE vf vf_max(vf a, vf b) { return vf_select((a > b) | (a != a), a, b); }
INLINE vf vf_at_most(vf a, vf limit) { return vf_select(limit < a, limit, a); }
INLINE vf vf_at_least(vf a, vf limit) { return vf_select(a < limit, limit, a); }
INLINE vf vf_abs(vf a) { return (vf)((vi)a & vi_set(0x7fffffff)); }
INLINE vf vf_sqrt(vf a) { return (vf){__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]), __builtin_sqrtf(a[3])}; }
INLINE f32 f_sqrt(f32 a) { return __builtin_sqrtf(a); }
INLINE f32 f_min(f32 a, f32 b) { return a < b || a != a ? a : b; }
INLINE f32 f_max(f32 a, f32 b) { return a > b || a != a ? a : b; }
INLINE vf vf_fma(vf a, vf b, vf c) { return (vf){__builtin_fmaf(a[0], b[0], c[0]), __builtin_fmaf(a[1], b[1], c[1]), __builtin_fmaf(a[2], b[2], c[2]), __builtin_fmaf(a[3], b[3], c[3])}; }
#endif

INLINE f32 vf_sum(vf v) { return (v[0] + v[1]) + (v[2] + v[3]); }
INLINE f32 vf_highest(vf v) { return f_max(f_max(v[0], v[1]), f_max(v[2], v[3])); }
INLINE f32 vf_lowest(vf v) { return f_min(f_min(v[0], v[1]), f_min(v[2], v[3])); }

/* The first n (1 to 3) floats at p, the other lanes `fill`; nothing past them is read. */
INLINE vf vf_load_part(const f32 *p, i32 n, f32 fill) { return (vf){p[0], n > 1 ? p[1] : fill, n > 2 ? p[2] : fill, fill}; }
INLINE void vf_store_part(f32 *p, vf v, i32 n) {
  p[0] = v[0];
  if (n > 1) p[1] = v[1];
  if (n > 2) p[2] = v[2];
}

/* Up to four floats of a row that has `left` left: whole vectors but the last. */
INLINE vf vf_get(const f32 *p, i32 left, f32 fill) { return left >= 4 ? vf_load(p) : vf_load_part(p, left, fill); }
INLINE void vf_put(f32 *p, vf v, i32 left) {
  if (left >= 4) vf_store(p, v);
  else vf_store_part(p, v, left);
}

#define INFINITE __builtin_inff()
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CEIL_DIV(a, b) (((a) + (b) - 1) / (b))

#endif
