/** Says when things that are done again and again are due. What takes long is done less often, so that a run trains nine tenths of its time. */
export class Timetable {
  readonly #next = new Map<string, number>();

  /** Does it if `seconds` have passed since the last time, or ten times as long as it took. The first time is half as far away. */
  async every(name: string, seconds: number, work: () => Promise<void>): Promise<void> {
    const begin = performance.now();
    const next = this.#next.get(name);
    if (next === undefined) this.#next.set(name, begin + 500 * seconds);
    if (next === undefined || begin < next) return;
    this.#next.set(name, Number.POSITIVE_INFINITY);
    try {
      await work();
    } finally {
      const end = performance.now();
      this.#next.set(name, end + Math.max(1000 * seconds, 9 * (end - begin)));
    }
  }
}
