/** What was made under a name, or made now; of more than a loader's buckets the one used longest ago is forgotten. */
export function recent<V>(kept: Map<string, V>, name: string, make: () => V, most = 16): V {
  const value = kept.get(name) ?? make();
  kept.delete(name);
  kept.set(name, value);
  for (const oldest of kept.keys()) {
    if (kept.size <= most) break;
    kept.delete(oldest);
  }
  return value;
}
