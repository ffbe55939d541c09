import { after, type Clock } from '../../core/clock.js';
import type { Later } from '../../core/later.js';

/** What is said of a call that nobody has answered in time. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';

  constructor(ms: number) {
    super(`The store gave no answer within ${ms} ms.`);
  }
}

/** What `call` gives within `ms` milliseconds; else it throws {@link NoAnswerError}. */
export async function within<T>(ms: number, clock: Clock, call: () => Later<T>): Promise<T> {
  let stop = (): void => undefined;
  const late = new Promise<never>((_, reject) => {
    stop = after(clock, ms, () => reject(new NoAnswerError(ms)));
  });
  try {
    return await Promise.race([call(), late]);
  } finally {
    stop();
  }
}
