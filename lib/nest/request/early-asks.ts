import { Logger } from '@nestjs/common';
import type { Limit } from '../../plan/limit.js';
import type { RateLimitContext } from '../context/call-context.js';

type Limits = readonly Limit<RateLimitContext>[];

/** How many requests of a limit are looked at. */
const LOOKS = 100;

/** Notices limits whose functions need the user but are called before authentication. Says so once a limit. */
export class EarlyAsks {
  readonly #logger = new Logger('RateLimit');
  readonly #looks = new Map<string, number>();
  readonly #said = new Set<string>();

  /** To be told of limits that asked for the user in vain. */
  noteLeft(limits: Limits): void {
    for (const { source } of limits) {
      this.#say(
        source,
        `a function of a limit reads the user, who is known only after other guards. The limit is decided after them, and does not hold back requests that they refuse; add needs: 'user' to say so.`,
      );
    }
  }

  /** Of limits that looked at the request itself, those for which it is worth a look whether a user comes. */
  worthALook(limits: Limits): Limits {
    if (limits.length === 0) return limits;
    return limits.filter(({ source }) => {
      const looks = this.#looks.get(source) ?? 0;
      this.#looks.set(source, looks + 1);
      return looks < LOOKS && !this.#said.has(source);
    });
  }

  /** To be told of limits that looked at a request on which a user stood later. */
  noteUserCame(limits: Limits): void {
    for (const { source } of limits) {
      this.#say(
        source,
        `a function of a limit was called before the user was known, and looked at the request. If it reads the user, add needs: 'user'; if not, needs: 'request' ends this warning.`,
      );
    }
  }

  #say(source: string, message: string): void {
    if (this.#said.has(source)) return;
    this.#said.add(source);
    this.#logger.warn(`${source}: ${message}`);
  }
}
