import { Logger } from '@nestjs/common';
import type { AddressForm } from '../key/address.js';

/** How many requests are looked at: a proxy shows itself at once. */
const LOOKS = 1_000;

/** Notices an application behind a proxy that it does not trust, whose callers all have the proxy's address. */
export class UntrustedProxy {
  readonly #logger = new Logger('RateLimit');
  #looks = 0;

  constructor(readonly addressForm: AddressForm) {}

  get isLooking(): boolean {
    return this.#looks < LOOKS;
  }

  /** To be told of a request whose `X-Forwarded-For` nothing but the platform has read. */
  note(header: string | undefined, address: string | undefined, peer: string | undefined): void {
    this.#looks++;
    if (header === undefined || address !== peer || peer === undefined) return;
    this.#looks = LOOKS;
    this.#logger.warn(
      `A request came with an X-Forwarded-For header, but nothing is trusted to write one, so ${this.addressForm(peer)} was charged. If that is your proxy, all of its callers share their limits: set trustProxy of RateLimitModule, or of your platform.`,
    );
  }
}
