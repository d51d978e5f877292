/** A request to stop: by Ctrl-C, by SIGTERM, or because nobody reads what we print any more. */
export interface Interruption extends Disposable {
  readonly signal: AbortSignal;
  /** What the shell expects after it: 130 after Ctrl-C, 143 after SIGTERM. */
  readonly status: number;
}

/** One key press can arrive more than once (the terminal's, and npm's copy of it), so what follows within this many milliseconds is the same. */
const samePress = 1000;

/** Listens until disposed. The first request is answered when the running step is done; another one, later, ends the process at once. */
export function interruptible(onRequest: () => void = () => {}): Interruption {
  const stop = new AbortController();
  let status = 130;
  let at = 0;
  const request = (code: number) => {
    if (stop.signal.aborted) {
      if (performance.now() - at > samePress) process.exit(code);
      return;
    }
    at = performance.now();
    status = code;
    stop.abort();
    onRequest();
  };
  const [onInt, onTerm] = [() => request(130), () => request(143)];
  const onPipe = (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    request(141);
  };
  process.on("SIGINT", onInt);
  process.on("SIGTERM", onTerm);
  process.stdout.on("error", onPipe);
  return {
    signal: stop.signal,
    get status() {
      return status;
    },
    [Symbol.dispose]() {
      process.off("SIGINT", onInt);
      process.off("SIGTERM", onTerm);
      process.stdout.off("error", onPipe);
    },
  };
}
