import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until `check` gives something else than undefined or false, and gives that. */
export async function until<T>(
  what: string,
  check: () => Promise<T | undefined | false>,
  withinMs = 60_000,
): Promise<T> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const found = await check();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > endMs) throw new Error(`Not within ${withinMs} ms: ${what}`);
    await sleep(25);
  }
}
