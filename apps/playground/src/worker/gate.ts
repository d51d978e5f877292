/**
 * Stands between the steps of a run. Whatever else wants the device (samples, attention maps, checkpoints) has its turn there, one job after the other, so
 * that no step changes weights under its hands; and there a paused run waits.
 */
export class Gate {
  readonly #jobs: (() => Promise<void>)[] = [];
  #tail: Promise<void> = Promise.resolve();
  #training = false;
  #paused = false;
  #wake = () => {};

  /** Whether a run waits here until `resume`. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Runs `job` between two steps, or as soon as the jobs before it are done where nothing trains. */
  run<T>(job: () => Promise<T>): Promise<T> {
    const done = new Promise<T>((resolve, reject) => {
      this.#jobs.push(() => job().then(resolve, reject));
    });
    this.#wake();
    if (!this.#training) void this.#drain();
    return done;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wake();
  }

  /** Called before each step. */
  async pass(): Promise<void> {
    this.#training = true;
    for (;;) {
      await this.#drain();
      if (!this.#paused) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Called when no further step comes. */
  async open(): Promise<void> {
    this.#training = false;
    this.#paused = false;
    await this.#drain();
  }

  #drain(): Promise<void> {
    this.#tail = this.#tail.then(() => this.#each());
    return this.#tail;
  }

  async #each(): Promise<void> {
    for (let job = this.#jobs.shift(); job; job = this.#jobs.shift()) await job();
  }
}
