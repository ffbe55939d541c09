import { isIP } from 'node:net';
import { mistake } from '../core/errors.js';
import { shown } from '../core/shown.js';
import { compileNetworks } from './networks.js';

/**
 * Which hops of `X-Forwarded-For` to believe: how many of them, counted from this server, or which networks
 * they come from.
 */
export type TrustProxy = number | string | readonly string[];

/** Finds the caller's address behind trusted hops. A peer on a Unix socket has none. */
export type Forwarded = (peer: string | undefined, header: string | undefined) => string | undefined;

/** Some proxies write the port behind the address. */
const withoutPort = (hop: string): string => {
  if (isIP(hop) !== 0) return hop;
  return /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
};

/** Longer lists are nobody's but an attacker's. */
const MOST_HOPS = 100;

function trusted(trust: TrustProxy): (address: string | undefined, hop: number) => boolean {
  if (typeof trust === 'number') {
    if (Number.isSafeInteger(trust) && trust >= 0) return (_address, hop) => hop < trust;
    throw mistake(
      'bad-address',
      `trustProxy cannot be ${trust}.`,
      'Give a whole number of hops, or networks.',
    );
  }
  const texts: unknown = typeof trust === 'string' ? trust.split(',').map((text) => text.trim()) : trust;
  if (Array.isArray(texts)) return compileNetworks(texts);
  throw mistake(
    'bad-address',
    `trustProxy cannot be ${shown(trust)}.`,
    `Give a number of hops, or networks such as '10.0.0.0/8' or 'loopback'.`,
  );
}

/**
 * Compiles the walk over `X-Forwarded-For`: from the peer leftwards past trusted hops, to the first that
 * is not. What stands further left anybody can have written.
 *
 * @throws RateLimitConfigError `bad-address`.
 */
export function compileForwarded(trust: TrustProxy): Forwarded {
  const isTrusted = trusted(trust);
  return (peer, header) => {
    const hops = (header ?? '').split(',').slice(-MOST_HOPS);
    let address = peer;
    for (let hop = 0; isTrusted(address, hop); hop++) {
      const next = hops.pop()?.trim();
      if (next === undefined || next === '') return address;
      const known = withoutPort(next);
      // Whoever is behind garbage, the last hop that is known is in front of it.
      if (isIP(known) === 0) return address;
      address = known;
    }
    return address;
  };
}
