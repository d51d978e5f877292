/* What of a score depends on more than q and k, for one batch entry and head; and which parts of the other side a tile walks over. */
#ifndef SIGHT_H
#define SIGHT_H
#include "vec.h"

/* Words of a block map; see words.ts of @x/ops. A run is first block, number of blocks, times, place of its mask. */
enum { MAP_BLOCK = 64, MAP_QUERIES = 2, MAP_KEYS = 3, MAP_BATCH = 6, MAP_HEADS = 7, MAP_TABLE = 9, MAP_ROWS = 10, MAP_COLUMNS = 11, MAP_DIAGONALS = 12, RUN = 4 };

typedef struct {
  const u8 *mask;
  /* The table's middle, distance 0, and how far it reaches to both sides. */
  const f32 *bias;
  i32 reach;
  f32 softcap;
  /* Keys that exist, and how far query 0 sees: query i sees keys up to i + offset. */
  i32 keys, offset, causal;
  /* Dropout draws of `key`; element 0 of query 0, and elements of a query; what stays is multiplied by `kept`, nothing is drawn where that is 0. */
  const u32 *key;
  u32 ordinal, threshold, first, width;
  f32 kept;
  const u32 *map;
  i32 pattern;
  /* 1, or NaN where the map is one of other lengths: whatever is stored is multiplied by it. */
  f32 sound;
} sight;

/* The sight of one head; a block of arguments that has no such fields leaves them 0. */
#define SIGHT_OF(a, b, h) \
  (sight) { \
    .mask = (a)->keyMask ? (a)->keyMask + (b) * (a)->keys : 0, \
    .bias = (a)->bias ? (a)->bias + (h) * (2 * (a)->reach + 1) + (a)->reach : 0, .reach = (a)->reach, .softcap = (a)->softcap, \
    .keys = KEYS_OF(a, b), .offset = KEYS_OF(a, b) - (a)->queries, .causal = (a)->causal, \
    .key = (a)->key, .ordinal = (u32)(a)->ordinal, .threshold = (u32)(a)->threshold, \
    .first = (u32)((b) * (a)->heads + (h)) * (u32)(a)->queries * (u32)(a)->keys, .width = (u32)(a)->keys, .kept = (a)->kept, \
    .map = (a)->map, .pattern = (a)->map ? pattern_of((a)->map, b, h) : 0, .sound = map_fits((a)->map, (a)->queries, (a)->keys) \
  }
#define KEYS_OF(a, b) ((a)->lengths ? MAX(0, MIN((a)->lengths[b], (a)->keys)) : (a)->keys)

INLINE i32 pattern_of(const u32 *map, i32 batch, i32 head) {
  i32 heads = (i32)map[MAP_HEADS];
  return (i32)map[map[MAP_TABLE] + (u32)(MIN(batch, (i32)map[MAP_BATCH] - 1) * heads + MIN(head, heads - 1))];
}

INLINE f32 map_fits(const u32 *map, i32 queries, i32 keys) {
  return !map || (map[MAP_QUERIES] == (u32)queries && map[MAP_KEYS] == (u32)keys) ? 1.0f : __builtin_nanf("");
}

/* Rows of the streaming side, from ... to - 1, that are seen `times` times, ln of which is `shift`; where `mask` says so, if there is one. */
typedef struct {
  i32 from, to;
  const u32 *mask;
  f32 shift;
} span;

/* The runs of a list of the map; without a map, one span. */
typedef struct {
  const u32 *map;
  u32 at, end;
  i32 from, to;
} walk;

INLINE walk walk_all(i32 from, i32 to) { return (walk){.map = 0, .at = 0, .end = RUN, .from = from, .to = to}; }

/* `lists` lists a pattern; the streaming side has `extent` rows. */
INLINE walk walk_list(const sight *s, i32 order, i32 lists, i32 list, i32 extent) {
  const u32 *start = s->map + s->map[order] + (u32)(s->pattern * lists + list);
  i32 fits = s->sound == 1.0f;
  return (walk){.map = s->map, .at = fits ? start[0] : 0, .end = fits ? start[1] : 0, .from = 0, .to = extent};
}

f32 log_of_times(u32 times);

INLINE i32 next_span(walk *w, span *s) {
  if (w->at >= w->end) return 0;
  *s = (span){.from = w->from, .to = w->to, .mask = 0, .shift = 0.0f};
  if (w->map) {
    const u32 *run = w->map + w->at;
    s->from = (i32)run[0] * MAP_BLOCK, s->to = MIN(s->to, (i32)(run[0] + run[1]) * MAP_BLOCK);
    if (run[3]) s->mask = w->map + run[3];
    if (run[2] != 1) s->shift = log_of_times(run[2]);
  }
  w->at += RUN;
  return 1;
}

/* Rows of the next tile of a span: one that has a mask stays within a block. */
INLINE i32 rows_of(const span *s, i32 at, i32 most) {
  i32 rows = MIN(most, s->to - at);
  return s->mask ? MIN(rows, MAP_BLOCK - at % MAP_BLOCK) : rows;
}

/* Whether the tile of these queries and keys needs more than the product. */
INLINE i32 is_plain(const sight *s, const span *over, i32 query, i32 last_key) {
  return !s->bias && !s->mask && !over->mask && over->shift == 0.0f && s->softcap == 0.0f && (!s->causal || last_key <= query + s->offset);
}

/* Soft cap, bias, times and who sees whom, on a tile whose element (row r, column c) is query `query` + r and key `key` + c, or with rows_are_queries = 0 the
   other way round. `slope` takes the derivative of the cap, where there is one. */
void look_closely(f32 *t, f32 *slope, const sight *s, const span *over, i32 rows, i32 columns, i32 query, i32 key, i32 rows_are_queries);

INLINE void look(f32 *t, f32 *slope, const sight *s, const span *over, i32 rows, i32 columns, i32 query, i32 key, i32 rows_are_queries) {
  if (is_plain(s, over, query, key + (rows_are_queries ? columns : rows) - 1)) return;
  look_closely(t, slope, s, over, rows, columns, query, key, rows_are_queries);
}

/* t = cap tanh(t / cap) on a tile, and its derivative where `slope` is there to take it. */
void cap_scores(f32 *t, f32 *slope, f32 cap, i32 rows, i32 columns);

/* What dropout multiplies the weights of the tile by. */
void draw_tile(f32 *z, const sight *s, i32 rows, i32 columns, i32 query, i32 key, i32 rows_are_queries);

#endif
