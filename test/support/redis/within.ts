import { OwnTime } from '../own-time.mjs';
import { until } from '../until.js';

/** Waits until `check` gives something, and checks that it took no more of this process's own time than it may. */
export async function within<T>(
  ms: number,
  what: string,
  check: () => Promise<T | undefined | false>,
): Promise<T> {
  const time = new OwnTime();
  const found = await until(what, check);
  const tookMs = time.stop();
  if (tookMs > ms) throw new Error(`Not within ${ms} ms, but within ${Math.round(tookMs)} ms: ${what}`);
  return found;
}
