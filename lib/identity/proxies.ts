import { isIP } from 'node:net';
import { configError, describeValue } from '../core/errors.js';
import { compileNetworkMatcher } from './addresses.js';

/**
 * Which hops of `X-Forwarded-For` to believe: how many of them, counted from this server, or which networks
 * they come from.
 */
export type TrustProxy = number | string | readonly string[];

/** Finds the caller's address behind trusted hops. A peer on a Unix socket has none. */
export type ClientAddressResolver = (
  peer: string | undefined,
  header: string | undefined,
) => string | undefined;

/** Some proxies write the port behind the address. */
const stripPort = (hop: string): string => {
  if (isIP(hop) !== 0) return hop;
  return /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
};

/** Longer lists are nobody's but an attacker's. */
const MAX_HOPS = 100;

function compileTrust(trust: TrustProxy): (address: string | undefined, hop: number) => boolean {
  if (typeof trust === 'number') {
    if (Number.isSafeInteger(trust) && trust >= 0) return (_address, hop) => hop < trust;
    throw configError(
      'bad-address',
      `trustProxy cannot be ${trust}.`,
      'Give a whole number of hops, or networks.',
    );
  }
  if (typeof trust === 'string' && /^\d+$/.test(trust)) {
    throw configError(
      'bad-address',
      `trustProxy cannot be the text ${describeValue(trust)}.`,
      `Give a number of hops as a number: trustProxy: ${trust}, or Number(process.env.HOPS).`,
    );
  }
  const texts: unknown = typeof trust === 'string' ? trust.split(',').map((text) => text.trim()) : trust;
  if (Array.isArray(texts)) return compileNetworkMatcher(texts);
  throw configError(
    'bad-address',
    `trustProxy cannot be ${describeValue(trust)}.`,
    `Give a number of hops, or networks such as '10.0.0.0/8' or 'loopback'.`,
  );
}

/**
 * Compiles the walk over `X-Forwarded-For`: from the peer leftwards past trusted hops, to the first that
 * is not. What stands further left anybody can have written.
 *
 * @throws RateLimitConfigError `bad-address`.
 */
export function compileTrustProxy(trust: TrustProxy): ClientAddressResolver {
  const isTrusted = compileTrust(trust);
  return (peer, header) => {
    if (header === undefined || header === '') return peer;
    let address = peer;
    let end = header.length;
    // What is left of the header ends there; below 0 there is nothing, and the last hop is the caller's.
    for (let hop = 0; end >= 0 && hop < MAX_HOPS && isTrusted(address, hop); hop++) {
      // A position below 0 counts as 0 there, where a comma may be.
      const comma = end === 0 ? -1 : header.lastIndexOf(',', end - 1);
      const next = header.slice(comma + 1, end).trim();
      end = comma;
      if (next === '') return address;
      const known = stripPort(next);
      // Whoever is behind garbage, the last hop that is known is in front of it.
      if (isIP(known) === 0) return address;
      address = known;
    }
    return address;
  };
}
