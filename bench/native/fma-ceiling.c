/* The most that 128-bit fused multiply-adds on registers can do: argv[1] turns of 10 chains by 4, printed in milliseconds. */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef float v4 __attribute__((vector_size(16)));

#if defined(__x86_64__)
#define FMA(acc) __asm__ volatile("vfmadd231ps %1, %2, %0" : "+x"(acc) : "x"(x), "x"(y))
#elif defined(__aarch64__)
#define FMA(acc) __asm__ volatile("fmla %0.4s, %1.4s, %2.4s" : "+w"(acc) : "w"(x), "w"(y))
#else
#error "no 128-bit fused multiply-add is known for this processor"
#endif
#define ALL FMA(a0); FMA(a1); FMA(a2); FMA(a3); FMA(a4); FMA(a5); FMA(a6); FMA(a7); FMA(a8); FMA(a9);

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
  long turns = argc > 1 ? atol(argv[1]) : 0;
  v4 x = {0.5f, 0.5f, 0.5f, 0.5f}, y = {0.25f, 0.25f, 0.25f, 0.25f};
  v4 a0 = x, a1 = x, a2 = x, a3 = x, a4 = x, a5 = x, a6 = x, a7 = x, a8 = x, a9 = x;
  double start = now();
  for (long i = 0; i < turns; i++) { ALL ALL ALL ALL }
  double end = now();
  v4 sum = a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9;
  fprintf(stderr, "%g\n", sum[0]);
  printf("%.6f\n", end - start);
  return 0;
}
