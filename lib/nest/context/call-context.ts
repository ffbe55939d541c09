import { isIPv4 } from 'node:net';
import type { ExecutionContext } from '@nestjs/common';
import { parseCookie } from 'cookie';
import type { AddressNormalizer } from '../../identity/addresses.js';
import type { Caller, ValueLocation } from '../../identity/caller.js';
import type { ClientAddressResolver } from '../../identity/proxies.js';
import type { Register } from '../../plan/register.js';
import type { RequestLike, Transport, TransportName } from './transports.js';
import type { ProxyDetector } from './untrusted-proxy.js';

/** The logged-in user: as registered, otherwise a record of unknowns. */
export type RateLimitUser = Register extends { user: infer User } ? User : Record<string, unknown>;

/** The request: as registered, otherwise what platforms have in common. */
export type RateLimitRequest = Register extends { request: infer Request } ? Request : RequestLike;

/** Reads clients of one transport, with the module's options. */
export interface TransportReader {
  readonly transport: Transport;
  readonly normalizeAddress: AddressNormalizer;
  /** The module's own walk over `X-Forwarded-For`; null to use the platform's address. */
  readonly resolveAddress: ClientAddressResolver | null;
  readonly proxyDetector: ProxyDetector;
  /** The module's `user` function, if any. */
  readonly userOf: ((request: RateLimitRequest) => unknown) | undefined;
}

const ID_KEYS = ['id', 'sub', 'userId'] as const;

/** Returns an id as text; null if it is not one. An object counts if it prints itself, as database ids do. */
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

/** Returns a property of the object's own: inherited ones such as `__proto__` are nobody's values. */
const ownProperty = (container: unknown, name: string): unknown =>
  typeof container === 'object' && container !== null && Object.hasOwn(container, name)
    ? (container as Record<string, unknown>)[name]
    : undefined;

/** One call of a handler, as the functions of a limit see it. */
export class RateLimitContext implements Caller {
  readonly #request: RequestLike;
  readonly #reader: TransportReader;
  #address: string | null | undefined;
  /** The containers of values, kept so that a query is parsed once. */
  #containers: Partial<Record<ValueLocation, unknown>> | undefined;
  #userId: string | null | undefined;

  constructor(
    /** Nest's own context: the class, the handler and the arguments of the call. */
    readonly execution: ExecutionContext,
    reader: TransportReader,
  ) {
    this.#reader = reader;
    this.#request = reader.transport.request(execution);
  }

  /** The request; over WebSockets the socket, in microservices the message's context. */
  get request(): RateLimitRequest {
    return this.#request as RateLimitRequest;
  }

  /** The transport that the call came over. */
  get transport(): TransportName {
    return this.#reader.transport.name;
  }

  /** The logged-in user; undefined for an anonymous client, and before authentication has run. */
  get user(): RateLimitUser | undefined {
    // Passport puts `false` there for a client that it could not authenticate.
    return (this.#reader.transport.user(this.#request) || undefined) as RateLimitUser | undefined;
  }

  /** The address that is charged: IPv4, or the network of an IPv6 address; null if the transport knows none. */
  get address(): string | null {
    if (this.#address === undefined) {
      const { normalizeAddress, transport } = this.#reader;
      const address = this.#platformAddress();
      // Most addresses are IPv4, which is charged unchanged.
      this.#address =
        address !== undefined && isIPv4(address)
          ? address
          : (normalizeAddress(address) ?? normalizeAddress(transport.peerAddress(this.#request)));
    }
    return this.#address;
  }

  /** @internal The client's address before it is normalized. */
  get rawAddress(): string | undefined {
    return this.#platformAddress() ?? this.#reader.transport.peerAddress(this.#request);
  }

  /** Returns the address that the module's own walk over proxies finds, or the platform's. */
  #platformAddress(): string | undefined {
    const { transport, resolveAddress, proxyDetector } = this.#reader;
    if (resolveAddress === null && !proxyDetector.isLooking) return transport.address(this.#request);
    const header = this.#header('x-forwarded-for');
    const peer = transport.peerAddress(this.#request);
    if (resolveAddress !== null) return resolveAddress(peer, header);
    const address = transport.address(this.#request);
    proxyDetector.inspect(header, address, peer);
    return address;
  }

  /** True if a user is logged in. */
  get authenticated(): boolean {
    return this.#reader.userOf === undefined ? this.user !== undefined : this.userId !== null;
  }

  /** The logged-in user's id; null for an anonymous client, and for a user without one. */
  get userId(): string | null {
    const { userOf } = this.#reader;
    if (userOf === undefined) return userIdOf(this.user);
    // A function of the application is called once, however many limits ask.
    if (this.#userId === undefined) this.#userId = idToText(userOf(this.#request as RateLimitRequest));
    return this.#userId;
  }

  /**
   * Returns a header of the request, several of the same name joined by commas; undefined if it is absent. Names
   * are case-insensitive.
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

  /** Returns a value of the request, of whatever type; undefined if it is absent. */
  value(location: ValueLocation, name: string): unknown {
    if (location === 'header') return this.#header(name.toLowerCase());
    this.#containers ??= {};
    let container = this.#containers[location];
    if (container === undefined) {
      container = this.#reader.transport.container(location, this.execution, this.#request);
      // No middleware has parsed them.
      if (location === 'cookie') container ??= parseCookie(this.#header('cookie') ?? '');
      this.#containers[location] = container;
    }
    return ownProperty(container, name);
  }

  /**
   * @internal Returns the same call with nothing read from it yet but the address, which a closed connection would not
   * tell any more: for a later phase, in which the user may be known.
   */
  fork(): RateLimitContext {
    const fork = new RateLimitContext(this.execution, this.#reader);
    fork.#address = this.#address;
    return fork;
  }
}
