/* The parts of a score that depend on more than q and k. */
#include "attention.h"
#include "philox.h"

f32 log_of_times(u32 times) { return f_log((f32)times); }

void cap_scores(f32 *t, f32 *slope, f32 cap, i32 rows, i32 columns) {
  vf most = vf_set(cap), inverse = vf_set(1.0f / cap);
  for (i32 r = 0; r < rows; r++)
    for (i32 at = r * TILE; at < r * TILE + columns; at += 4) {
      vf bent = v_tanh(vf_load(t + at) * inverse);
      vf_store(t + at, bent * most);
      if (slope) vf_store(slope + at, vf_set(1.0f) - bent * bent);
    }
}

/* Adds line[rows - 1 - r + c]: a tile's distances lie on its diagonals. */
static void add_line(f32 *t, const f32 *line, i32 rows, i32 columns) {
  for (i32 r = 0; r < rows; r++)
    for (i32 c = 0; c < columns; c += 4)
      vf_store(t + r * TILE + c, vf_load(t + r * TILE + c) + vf_load(line + rows - 1 - r + c));
}

static void add_bias(f32 *t, const sight *s, f32 shift, i32 rows, i32 columns, i32 query, i32 key, i32 rows_are_queries) {
  f32 line[BLOCK + TILE + 4];
  i32 nearest = key - query - s->offset, step = rows_are_queries ? 1 : -1;
  i32 first = rows_are_queries ? nearest - (rows - 1) : nearest + rows - 1;
  for (i32 x = 0; x < rows + columns + 3; x++)
    line[x] = shift + (s->bias ? s->bias[MAX(-s->reach, MIN(s->reach, first + step * x))] : 0.0f);
  add_line(t, line, rows, columns);
}

INLINE void hide(f32 *t, i32 from, i32 to) {
  for (i32 c = from; c < to; c++) t[c] = -INFINITE;
}

static void hide_later(f32 *t, i32 rows, i32 columns, i32 ahead, i32 rows_are_queries) {
  for (i32 r = 0; r < rows; r++) {
    if (rows_are_queries) hide(t + r * TILE, MAX(0, r - ahead + 1), columns);
    else hide(t + r * TILE, 0, MIN(columns, ahead + r));
  }
}

static void hide_keys(f32 *t, const u8 *mask, i32 rows, i32 columns, i32 rows_are_queries) {
  for (i32 r = 0; r < rows; r++) {
    if (!rows_are_queries && !mask[r]) hide(t + r * TILE, 0, columns);
    for (i32 c = 0; rows_are_queries && c < columns; c++)
      if (!mask[c]) t[r * TILE + c] = -INFINITE;
  }
}

/* Bit c of row r becomes bit r of row c. */
static void transpose_bits(u64 *x) {
  u64 m = 0xffffffffull;
  for (i32 j = 32; j; j >>= 1, m ^= m << j)
    for (i32 k = 0; k < 64; k = ((k | j) + 1) & ~j) {
      u64 swap = ((x[k] >> j) ^ x[k | j]) & m;
      x[k] ^= swap << j, x[k | j] ^= swap;
    }
}

/* Hides what has no bit: `first` is the place of row 0 in its block; columns begin at a block. */
static void hide_unset(f32 *t, const u32 *mask, i32 rows, i32 columns, i32 first, i32 rows_are_queries) {
  u64 bits[MAP_BLOCK];
  for (i32 r = 0; r < MAP_BLOCK; r++) bits[r] = mask[2 * r] | (u64)mask[2 * r + 1] << 32;
  if (!rows_are_queries) transpose_bits(bits);
  vi one = (vi){1, 2, 4, 8};
  for (i32 r = 0; r < rows; r++)
    for (i32 c = 0; c < columns; c += 4) {
      f32 *score = t + r * TILE + c;
      vi seen = (vi_set((i32)(bits[first + r] >> c)) & one) != vi_set(0);
      vf_store(score, vf_select(seen, vf_load(score), vf_set(-INFINITE)));
    }
}

void look_closely(f32 *t, f32 *slope, const sight *s, const span *over, i32 rows, i32 columns, i32 query, i32 key, i32 rows_are_queries) {
  if (s->softcap != 0.0f) cap_scores(t, slope, s->softcap, rows, columns);
  if (s->bias || over->shift != 0.0f) add_bias(t, s, over->shift, rows, columns, query, key, rows_are_queries);
  if (s->causal) hide_later(t, rows, columns, key - query - s->offset, rows_are_queries);
  if (s->mask) hide_keys(t, s->mask + key, rows, columns, rows_are_queries);
  if (over->mask) hide_unset(t, over->mask, rows, columns, (rows_are_queries ? query : key) % MAP_BLOCK, rows_are_queries);
}

void draw_tile(f32 *z, const sight *s, i32 rows, i32 columns, i32 query, i32 key, i32 rows_are_queries) {
  u32 words[TILE + 32];
  i32 queries = rows_are_queries ? rows : columns, keys = rows_are_queries ? columns : rows;
  i32 by_query = rows_are_queries ? TILE : 1, by_key = rows_are_queries ? 1 : TILE;
  for (i32 i = 0; i < queries; i++) {
    u32 element = s->first + (u32)(query + i) * s->width + (u32)key;
    i32 skipped = (i32)(element & 3);
    for (i32 n = 0; n < skipped + keys; n += 16) philox_16(words + n, (element >> 2) + (u32)(n / 4), s->ordinal, s->key);
    for (i32 j = 0; j < keys; j++) z[i * by_query + j * by_key] = words[skipped + j] >> 8 >= s->threshold ? s->kept : 0.0f;
  }
}
