import type { ExecutionContext } from '@nestjs/common';
import { parseCookie } from 'cookie';
import type { AddressNormalizer } from '../../identity/addresses.js';
import type { Caller, ValueLocation } from '../../identity/caller.js';
import type { ClientAddressResolver } from '../../identity/proxies.js';
import type { Register } from '../../plan/register.js';
import { ownProperty } from './own-property.js';
import type { RequestLike, Transport, TransportName } from './transports/transport.js';
import type { ProxyDetector } from './untrusted-proxy.js';

/** The signed-in user: as registered, else a record of unknowns. */
export type RateLimitUser = Register extends { user: infer User } ? User : Record<string, unknown>;

/** The request: as registered, else what platforms have in common. */
export type RateLimitRequest = Register extends { request: infer Request } ? Request : RequestLike;

/** How callers of one transport are told. */
export interface TransportReader {
  readonly transport: Transport;
  readonly normalizeAddress: AddressNormalizer;
  /** The module's own walk over `X-Forwarded-For`; null where the platform's word is taken. */
  readonly resolveAddress: ClientAddressResolver | null;
  readonly proxyDetector: ProxyDetector;
  /** The module's `user` function, if any. */
  readonly userOf: ((request: RateLimitRequest) => unknown) | undefined;
}

const ID_KEYS = ['id', 'sub', 'userId'] as const;

/** An id as text; null for what is none. Objects count when they print themselves, as database ids do. */
function idToText(id: unknown): string | null {
  if (typeof id === 'string') return id === '' ? null : id;
  if (typeof id === 'number' || typeof id === 'bigint') return String(id);
  if (id instanceof Uint8Array) return Buffer.from(id).toString('hex') || null;
  if (typeof id !== 'object' || id === null || typeof id.toString !== 'function') return null;
  if (id.toString === Object.prototype.toString) return null;
  const text: unknown = id.toString();
  return typeof text === 'string' && text !== '' ? text : null;
}

function userIdOf(user: unknown): string | null {
  if (typeof user !== 'object' || user === null) return idToText(user);
  for (const key of ID_KEYS) {
    const id = idToText((user as Record<string, unknown>)[key]);
    if (id !== null) return id;
  }
  return null;
}

/** What the functions of a limit are given: one call of a handler. */
export class RateLimitContext implements Caller {
  readonly #request: RequestLike;
  readonly #reader: TransportReader;
  #address: string | null | undefined;
  /** Where values were found, so that a query is parsed once. */
  #containers: Partial<Record<ValueLocation, unknown>> | undefined;
  #isEarly = false;
  #askedInVain = false;
  #touchedRequest = false;

  constructor(
    /** Nest's own context: the class, the handler and the arguments of the call. */
    readonly execution: ExecutionContext,
    reader: TransportReader,
  ) {
    this.#reader = reader;
    this.#request = reader.transport.request(execution);
  }

  /** The request; over WebSockets the socket, in microservices the context of the message. */
  get request(): RateLimitRequest {
    this.#touchedRequest = true;
    return this.#request as RateLimitRequest;
  }

  /** What the call came over. */
  get transport(): TransportName {
    return this.#reader.transport.name;
  }

  /** The signed-in user; undefined for an anonymous caller, and before authentication has run. */
  get user(): RateLimitUser | undefined {
    // Passport puts `false` there for a caller that it could not authenticate.
    const user = this.#reader.transport.user(this.#request) || undefined;
    if (user === undefined) this.#askedInVain = true;
    return user as RateLimitUser | undefined;
  }

  /** The caller's address as it is charged: IPv4, or the network of an IPv6 address; null where there is none. */
  get address(): string | null {
    if (this.#address === undefined) {
      const { normalizeAddress, transport } = this.#reader;
      this.#address =
        normalizeAddress(this.#platformAddress()) ?? normalizeAddress(transport.peerAddress(this.#request));
    }
    return this.#address;
  }

  /** @internal The caller's address as it was told. */
  get rawAddress(): string | undefined {
    return this.#platformAddress() ?? this.#reader.transport.peerAddress(this.#request);
  }

  /** The address, by the module's own walk over proxies or by the platform's. */
  #platformAddress(): string | undefined {
    const { transport, resolveAddress, proxyDetector } = this.#reader;
    const platform = resolveAddress === null;
    if (platform && !proxyDetector.isLooking) return transport.address(this.#request);
    const header = this.#header('x-forwarded-for');
    const peer = transport.peerAddress(this.#request);
    if (!platform) return resolveAddress(peer, header);
    const told = transport.address(this.#request);
    proxyDetector.inspect(header, told, peer);
    return told;
  }

  /** Whether a user is signed in. */
  get authenticated(): boolean {
    return this.#reader.userOf === undefined ? this.user !== undefined : this.userId !== null;
  }

  /** The signed-in user's id; null for an anonymous caller, and for a user without one. */
  get userId(): string | null {
    const { userOf } = this.#reader;
    if (userOf === undefined) return userIdOf(this.user);
    const id = idToText(userOf(this.#request as RateLimitRequest));
    if (id === null) this.#askedInVain = true;
    return id;
  }

  /**
   * Gives a header of the request, several of the same name joined by commas; undefined when it is absent.
   * Its name may be in upper or lower case.
   */
  get header(): (name: string) => string | undefined {
    return (name) => this.#header(name.toLowerCase());
  }

  #header(name: string): string | undefined {
    const value = this.#reader.transport.headers(this.#request)?.[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** The HTTP method; undefined over other transports. */
  get method(): string | undefined {
    return this.transport === 'http' ? this.#request.method : undefined;
  }

  /** What the request holds in a header, query, cookie, body or parameter, of whatever type; undefined where it is absent. */
  value(location: ValueLocation, name: string): unknown {
    if (location === 'header') return this.#header(name.toLowerCase());
    this.#containers ??= {};
    let container = this.#containers[location];
    if (container === undefined) {
      container = this.#reader.transport.container(location, this.execution, this.#request);
      // Where nothing has parsed them.
      if (location === 'cookie') container ??= parseCookie(this.#header('cookie') ?? '');
      this.#containers[location] = container;
    }
    return ownProperty(container, name);
  }

  /** @internal The request, for what does not read it on behalf of a limit. */
  get rawRequest(): object {
    return this.#request;
  }

  /** @internal Whether somebody asked for a user when there was none. */
  get askedInVain(): boolean {
    return this.#askedInVain;
  }

  /** @internal Whether somebody looked at the request itself. */
  get touchedRequest(): boolean {
    return this.#touchedRequest;
  }

  /** @internal Whether what it says does not count, since it will be asked again. */
  get isPremature(): boolean {
    return this.#isEarly && this.#askedInVain;
  }

  /** @internal The same call, nothing asked of it yet but for the address, which stays as it is. */
  fork(): RateLimitContext {
    const fork = new RateLimitContext(this.execution, this.#reader);
    fork.#address = this.#address;
    return fork;
  }

  /** @internal The same call, to be asked again once the user is known. */
  early(): RateLimitContext {
    const early = this.fork();
    early.#isEarly = true;
    return early;
  }
}
