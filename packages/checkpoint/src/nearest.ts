/** Up to `count` of `candidates` that differ least from `wanted`, the nearest first, none that differs in more than 40 % of it. */
export function nearest(wanted: string, candidates: readonly string[], count: number): string[] {
  const most = Math.floor(wanted.length * 0.4);
  return candidates
    .filter((name) => Math.abs(name.length - wanted.length) <= most && name.length <= 300)
    .map((name) => ({ name, distance: editDistance(wanted, name) }))
    .filter(({ distance }) => distance <= most)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ name }) => name);
}

/** Levenshtein's distance: insertions, deletions and replacements that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
