import { isIP } from 'node:net';
import { assertConfig, describeValue } from '../core/errors.js';
import { compileNetworkMatcher } from './addresses.js';

/**
 * The trusted hops of `X-Forwarded-For`: their number, counted from this server, or the networks that they
 * are in.
 */
export type TrustProxy = number | string | readonly string[];

/** Returns the client's address behind trusted hops. A peer on a Unix socket has none. */
export type ClientAddressResolver = (
  peer: string | undefined,
  header: string | undefined,
) => string | undefined;

/** Removes the port that some proxies write behind the address. */
const stripPort = (hop: string): string => {
  if (isIP(hop) !== 0) return hop;
  return /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
};

/** Only attackers send longer lists. */
const MAX_HOPS = 100;

function compileTrust(trust: TrustProxy): (address: string | undefined, hop: number) => boolean {
  if (typeof trust === 'number') {
    assertConfig(
      Number.isSafeInteger(trust) && trust >= 0,
      'bad-address',
      `trustProxy cannot be ${trust}.`,
      'Use a whole number of hops, or networks.',
    );
    return (_address, hop) => hop < trust;
  }
  assertConfig(
    typeof trust !== 'string' || !/^\d+$/.test(trust),
    'bad-address',
    `trustProxy cannot be the text ${describeValue(trust)}.`,
    `Write the number of hops as a number: trustProxy: ${trust}, or Number(process.env.HOPS).`,
  );
  const texts: unknown = typeof trust === 'string' ? trust.split(',').map((text) => text.trim()) : trust;
  assertConfig(
    Array.isArray(texts),
    'bad-address',
    `trustProxy cannot be ${describeValue(trust)}.`,
    `Use a number of hops, or networks such as '10.0.0.0/8' or 'loopback'.`,
  );
  return compileNetworkMatcher(texts);
}

/**
 * Compiles the walk over `X-Forwarded-For`: from the peer to the left, past trusted hops, to the first hop
 * that is not trusted. Anybody can have written what is further left.
 *
 * @throws RateLimitConfigError `bad-address`.
 */
export function compileTrustProxy(trust: TrustProxy): ClientAddressResolver {
  const isTrusted = compileTrust(trust);
  return (peer, header) => {
    if (header === undefined || header === '') return peer;
    let address = peer;
    let end = header.length;
    // The rest of the header ends at `end`. Below 0 nothing is left, and the last hop is the client.
    for (let hop = 0; end >= 0 && hop < MAX_HOPS && isTrusted(address, hop); hop++) {
      // lastIndexOf takes a position below 0 as 0, where a comma may be.
      const comma = end === 0 ? -1 : header.lastIndexOf(',', end - 1);
      const next = header.slice(comma + 1, end).trim();
      end = comma;
      if (next === '') return address;
      const hopAddress = stripPort(next);
      // Nobody knows who is behind garbage; the last known hop is in front of it.
      if (isIP(hopAddress) === 0) return address;
      address = hopAddress;
    }
    return address;
  };
}
