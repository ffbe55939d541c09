import type { ExecutionContext } from '@nestjs/common';
import { canonicalAddress } from '../key/address.js';
import type { Caller } from '../key/caller.js';
import type { Register } from '../plan/register.js';
import type { RequestLike, Transport, TransportName } from './transports/transport.js';

/** The signed-in user: as registered, else a record of unknowns. */
export type RateLimitUser = Register extends { user: infer User } ? User : Record<string, unknown>;

/** The request: as registered, else what platforms have in common. */
export type RateLimitRequest = Register extends { request: infer Request } ? Request : RequestLike;

/** A user's id, of one of the types that ids have; null or undefined for an anonymous caller. */
export type UserId = string | number | bigint | null | undefined;

/** How callers of one transport are told. */
export interface CallerReader {
  readonly transport: Transport;
  readonly ipv6Prefix: number;
  /** The module's `user` function, if any. */
  readonly userOf: ((request: RateLimitRequest) => UserId) | undefined;
}

const ID_KEYS = ['id', 'sub', 'userId'] as const;

/** An id as text; null for what is none. Objects count when they print themselves, as database ids do. */
function idText(id: unknown): string | null {
  if (typeof id === 'string') return id === '' ? null : id;
  if (typeof id === 'number' || typeof id === 'bigint') return String(id);
  if (typeof id !== 'object' || id === null || id.toString === Object.prototype.toString) return null;
  return String(id);
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
  readonly request: RateLimitRequest;
  readonly #reader: CallerReader;
  #address: string | null | undefined;

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

  /** The signed-in user, undefined for an anonymous caller and before authentication has run. */
  get user(): RateLimitUser | undefined {
    return (this.#reader.transport.user(this.request as RequestLike) ?? undefined) as
      | RateLimitUser
      | undefined;
  }

  /** The caller's address as it is charged: IPv4, or the network of an IPv6 address; null where there is none. */
  get address(): string | null {
    if (this.#address === undefined) {
      const { transport, ipv6Prefix } = this.#reader;
      const request = this.request as RequestLike;
      this.#address =
        canonicalAddress(transport.address(request), ipv6Prefix) ??
        canonicalAddress(transport.peer(request), ipv6Prefix);
    }
    return this.#address;
  }

  get authenticated(): boolean {
    return this.#reader.userOf === undefined ? this.user !== undefined : this.userId !== null;
  }

  get userId(): string | null {
    const { userOf } = this.#reader;
    return userOf === undefined ? idOf(this.user) : idText(userOf(this.request));
  }

  header(name: string): string | undefined {
    const value = this.#reader.transport.headers(this.request as RequestLike)?.[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }
}
