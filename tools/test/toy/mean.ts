/** The mean of some numbers; 0 for none. A toy for the test of `pnpm mutate`. */
export function mean(values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  return values.length === 0 ? 0 : sum / values.length;
}
