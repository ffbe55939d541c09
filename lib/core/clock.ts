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

const startMs = Date.now() - performance.now();

const every: Clock['every'] = (ms, task) => {
  const timer = setInterval(task, ms);
  timer.unref();
  return () => clearInterval(timer);
};

/** Never steps, so it measures intervals: timeouts, backoffs, and how long ago something was logged. */
export const steadyClock: Clock = Object.freeze({
  now: () => Math.floor(startMs + performance.now()),
  every,
});

/** The wall clock was set if it differs by as much: adjusting it gradually changes less in years. */
const MIN_STEP_MS = 1_000;
const CHECK_INTERVAL_MS = 1_000;

let anchorMs = startMs;
let checkedAtMs = 0;

/** Follows the wall clock if it was set, so that `Reset` and timestamps are right. */
function followWallClock(elapsedMs: number): void {
  checkedAtMs = elapsedMs;
  const wallMs = Date.now() - elapsedMs;
  if (Math.abs(wallMs - anchorMs) >= MIN_STEP_MS) anchorMs = wallMs;
}

/** Monotonic time of this process, anchored to wall time. It follows within a second if the wall clock is set. */
export const systemClock: Clock = Object.freeze({
  now(): number {
    const elapsedMs = performance.now();
    // Fake timers of a test set it back.
    if (Math.abs(elapsedMs - checkedAtMs) >= CHECK_INTERVAL_MS) followWallClock(elapsedMs);
    return Math.floor(anchorMs + elapsedMs);
  },
  every,
});
