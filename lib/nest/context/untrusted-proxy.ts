import { Logger } from '@nestjs/common';
import type { AddressNormalizer } from '../../identity/addresses.js';

/** Inspects this many requests: a proxy shows itself in the first ones. */
const MAX_INSPECTED = 1_000;

/** Warns of an application behind a proxy that it does not trust: all its clients have the proxy's address. */
export class ProxyDetector {
  readonly #logger = new Logger('RateLimit');
  /** False once enough requests have been inspected. */
  isLooking = true;
  #inspected = 0;

  constructor(readonly normalizeAddress: AddressNormalizer) {}

  /** Inspects a request whose `X-Forwarded-For` only the platform has read. */
  inspect(header: string | undefined, address: string | undefined, peer: string | undefined): void {
    this.isLooking = ++this.#inspected < MAX_INSPECTED;
    if (header === undefined || address !== peer || peer === undefined) return;
    this.isLooking = false;
    this.#logger.warn(
      `A request came with an X-Forwarded-For header, but nothing is trusted to write one, so ${this.normalizeAddress(peer)} was charged. If that is your proxy, all of its clients share their limits: set trustProxy of RateLimitModule, or of your platform.`,
    );
  }
}
