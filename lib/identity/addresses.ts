import { isIP, isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { lru } from 'tiny-lru';
import { configError, describeValue } from '../core/errors.js';

/**
 * IPv6 networks are handed out whole: the smallest one that a customer gets is a /64 (RFC 6177, RIPE-690).
 */
export const DEFAULT_IPV6_PREFIX = 64;

function ipv6Network(text: string, prefix: number): string {
  const address = ipaddr.IPv6.parse(text);
  if (address.isIPv4MappedAddress()) return address.toIPv4Address().toString();
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${text}/${prefix}`)}/${prefix}`;
}

/** Returns an address in the form in which it is charged; null for a text that is not an address. */
export type AddressNormalizer = (text: string | null | undefined) => string | null;

/**
 * Creates a normalizer: IPv4 stays as it is, IPv4-mapped IPv6 becomes IPv4, and other IPv6 becomes its
 * network, such as `2001:db8::/64`.
 *
 * @param prefix The length of the network in bits, 1 to 128.
 */
export function addressNormalizer(prefix: number): AddressNormalizer {
  const findNetwork = memoizeByAddress((text) =>
    // Node accepts zones that no interface has, such as `::%.`.
    isIPv6(text) && ipaddr.IPv6.isValid(text) ? ipv6Network(text, prefix) : null,
  );
  return (text) => {
    if (text === null || text === undefined) return null;
    if (isIPv4(text)) return text;
    // A dual-stack socket writes an IPv4 peer in this form, and so most servers see most addresses.
    if (text.startsWith('::ffff:') && isIPv4(text.slice(7))) return text.slice(7);
    return findNetwork(text);
  };
}

/** Most addresses that a server sees come again soon. */
const MAX_ADDRESSES = 10_000;
/** No address without a zone is longer, and a zone is as long as its sender likes. */
const MAX_ADDRESS_LENGTH = 45;

/**
 * Returns a copy of a text that was cut out of a longer one, such as a header, which it would keep in memory.
 */
export const copyString = (text: string): string => JSON.parse(JSON.stringify(text));

/** Caches the results of `find`, which takes longer than deciding a request. */
export function memoizeByAddress<T extends string | boolean | null>(
  find: (address: string) => T,
): (address: string) => T {
  const results = lru<T>(MAX_ADDRESSES);
  return (address) => {
    if (address.length > MAX_ADDRESS_LENGTH) return find(address);
    const cached = results.get(address);
    if (cached !== undefined) return cached;
    const result = find(address);
    results.set(copyString(address), result);
    return result;
  };
}

/** Returns true if an address is in one of some networks; false for a text that is not an address. */
export type NetworkMatcher = (address: string | null | undefined) => boolean;

/** Ranges with a name, by the names of Express and Fastify. */
const NAMED_RANGES: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.1/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/**
 * The addresses that begin with the same bits. IPv4 stands as IPv4-mapped IPv6, as dual-stack sockets write
 * it.
 */
type Network = readonly [address: ipaddr.IPv6, bits: number];

function parseIpv6(text: string): ipaddr.IPv6 {
  const address = ipaddr.parse(text);
  return address instanceof ipaddr.IPv4 ? address.toIPv4MappedAddress() : address;
}

function parseNetwork(text: unknown): Network {
  try {
    const source = String(text);
    if (isIP(source.split('/')[0] as string) === 0) throw new Error('a short form of an address');
    if (!source.includes('/')) return [parseIpv6(source), 128];
    const [address, bits] = ipaddr.parseCIDR(source);
    return address instanceof ipaddr.IPv4 ? [address.toIPv4MappedAddress(), 96 + bits] : [address, bits];
  } catch {
    throw configError(
      'bad-address',
      `${describeValue(text)} is not an address or a network.`,
      `Use addresses and networks such as '203.0.113.7' and '10.0.0.0/8', or ${Object.keys(NAMED_RANGES).join(', ')}.`,
    );
  }
}

/**
 * Compiles a list of addresses, networks in CIDR notation, and `loopback`, `linklocal` and `uniquelocal`.
 *
 * @throws RateLimitConfigError `bad-address` for anything else.
 */
export function compileNetworkMatcher(texts: readonly string[]): NetworkMatcher {
  const networks = texts.flatMap((text) => NAMED_RANGES[text] ?? [text]).map(parseNetwork);
  const find = memoizeByAddress((text) => {
    // Node accepts zones that no interface has, such as `::%.`.
    if (isIP(text) === 0 || !ipaddr.isValid(text)) return false;
    const address = parseIpv6(text);
    return networks.some(([network, bits]) => address.match(network, bits));
  });
  return (text) => text !== null && text !== undefined && find(text);
}
