import type { ExecutionContext } from '@nestjs/common';
import type { AddressForm } from '../key/address.js';
import type { Caller } from '../key/caller.js';
import type { Register } from '../plan/register.js';
import type { RequestLike, Transport, TransportName } from './transports/transport.js';

/** The signed-in user: as registered, else a record of unknowns. */
export type RateLimitUser = Register extends { user: infer User } ? User : Record<string, unknown>;

/** The request: as registered, else what platforms have in common. */
export type RateLimitRequest = Register extends { request: infer Request } ? Request : RequestLike;

/** How callers of one transport are told. */
export interface CallerReader {
  readonly transport: Transport;
  readonly addressForm: AddressForm;
  /** The module's `user` function, if any. */
  readonly userOf: ((request: RateLimitRequest) => unknown) | undefined;
}

const ID_KEYS = ['id', 'sub', 'userId'] as const;

/** An id as text; null for what is none. Objects count when they print themselves, as database ids do. */
function idText(id: unknown): string | null {
  if (typeof id === 'string') return id === '' ? null : id;
  if (typeof id === 'number' || typeof id === 'bigint') return String(id);
  if (typeof id !== 'object' || id === null || id.toString === Object.prototype.toString) return null;
  return id instanceof Uint8Array ? Buffer.from(id).toString('hex') : String(id);
}

function idOf(user: unknown): string | null {
  if (typeof user !== 'object' || user === null) return idText(user);
  for (const key of ID_KEYS) {
    const id = idText((user as Record<string, unknown>)[key]);
    if (id !== null) return id;
  }
  return null;
}

/** What the functions of a limit are given: one call of a handler. */
export class RateLimitContext implements Caller {
  /** The request; over WebSockets the socket, in microservices the context of the message. */
  readonly request: RateLimitRequest;
  readonly #reader: CallerReader;
  #address: string | null | undefined;
  #askedInVain = false;

  constructor(
    readonly execution: ExecutionContext,
    reader: CallerReader,
  ) {
    this.#reader = reader;
    this.request = reader.transport.request(execution) as RateLimitRequest;
  }

  get transport(): TransportName {
    return this.#reader.transport.name;
  }

  /** The signed-in user; undefined for an anonymous caller, and before authentication has run. */
  get user(): RateLimitUser | undefined {
    // Passport puts `false` there for a caller that it could not authenticate.
    const user = this.#reader.transport.user(this.request as RequestLike) || undefined;
    if (user === undefined) this.#askedInVain = true;
    return user as RateLimitUser | undefined;
  }

  /** The caller's address as it is charged: IPv4, or the network of an IPv6 address; null where there is none. */
  get address(): string | null {
    if (this.#address === undefined) {
      const { transport, addressForm } = this.#reader;
      const request = this.request as RequestLike;
      this.#address = addressForm(transport.address(request)) ?? addressForm(transport.peer(request));
    }
    return this.#address;
  }

  /** Whether a user is signed in. */
  get authenticated(): boolean {
    return this.#reader.userOf === undefined ? this.user !== undefined : this.userId !== null;
  }

  /** The signed-in user's id; null for an anonymous caller, and for a user without one. */
  get userId(): string | null {
    const { userOf } = this.#reader;
    if (userOf === undefined) return idOf(this.user);
    const id = idText(userOf(this.request));
    if (id === null) this.#askedInVain = true;
    return id;
  }

  /**
   * A header of the request, several of the same name joined by commas; undefined when it is absent.
   *
   * @param name In upper or lower case.
   */
  header(name: string): string | undefined {
    const value = this.#reader.transport.headers(this.request as RequestLike)?.[name.toLowerCase()];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** @internal Whether somebody asked for a user when there was none. */
  get askedInVain(): boolean {
    return this.#askedInVain;
  }

  /** @internal The same call, nothing asked of it yet. */
  fork(): RateLimitContext {
    return new RateLimitContext(this.execution, this.#reader);
  }
}
