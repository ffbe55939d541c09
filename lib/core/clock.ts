/** The source of time. A test passes its own clock: `TestClock` of `nestjs-ratelimit/testing`. */
export interface Clock {
  /** Returns whole milliseconds since the epoch. */
  now(): number;
  /**
   * Runs `task` about every `ms` milliseconds without keeping the process alive.
   *
   * @returns A function that stops it.
   */
  every(ms: number, task: () => void): () => void;
}

/** Runs `task` once, after about `ms` milliseconds. Returns a function that cancels it. */
export function runAfter(clock: Clock, ms: number, task: () => void): () => void {
  const stop = clock.every(ms, () => {
    stop();
    task();
  });
  return stop;
}

// Anchored to wall time once, so that setting the wall clock later neither frees nor blocks anyone.
const anchorMs = Date.now() - performance.now();

/** Monotonic time of this process, anchored to wall time when the library was loaded. */
export const systemClock: Clock = Object.freeze({
  now: () => Math.floor(anchorMs + performance.now()),
  every(ms: number, task: () => void) {
    const timer = setInterval(task, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
});
