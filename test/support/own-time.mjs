// Time as this process gets it, so that a busy machine is not taken for a slow library.

const TICK_MS = 5;

/** Returns the CPU time of this process in milliseconds. */
const usedMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

/**
 * A clock that stands still while the process waits for a processor that others use. A process that has its turn runs
 * a timer every 5 ms; a longer pause counts in full only as far as the process itself was computing. So what code
 * waits for counts, and so does an event loop that it keeps busy; a call that blocks it without computing does not.
 */
export class OwnTime {
  #countedMs = 0;
  #atMs = performance.now();
  #usedMs = usedMs();
  #timer = setInterval(() => this.now(), TICK_MS).unref();

  /** Milliseconds since it was made. */
  now() {
    const [nowMs, used] = [performance.now(), usedMs()];
    this.#countedMs += Math.min(nowMs - this.#atMs, 2 * TICK_MS + used - this.#usedMs);
    this.#atMs = nowMs;
    this.#usedMs = used;
    return this.#countedMs;
  }

  /** Stops it, and tells the milliseconds since it was made. */
  stop() {
    clearInterval(this.#timer);
    return this.now();
  }
}
