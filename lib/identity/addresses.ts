import { isIP, isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { copyString } from '../core/copy-string.js';
import { configError, describeValue } from '../core/errors.js';

/** IPv6 networks are handed out whole: the smallest one that a customer gets is a /64 (RFC 6177, RIPE-690). */
export const DEFAULT_IPV6_PREFIX = 64;

/** The first `bits` bits of a group of 16. */
const maskOf = (bits: number): number =>
  bits <= 0 ? 0 : bits >= 16 ? 0xffff : 0xffff & (0xffff << (16 - bits));

function ipv6Network(text: string, prefix: number): string {
  const address = ipaddr.IPv6.parse(text);
  if (address.isIPv4MappedAddress()) return address.toIPv4Address().toString();
  const network = new ipaddr.IPv6(address.parts.map((part, index) => part & maskOf(prefix - 16 * index)));
  return `${network.toString()}/${prefix}`;
}

/** Brings an address into the form under which it is charged; null for what is no address. */
export type AddressNormalizer = (text: string | null | undefined) => string | null;

/**
 * The form of addresses: IPv4 as it is, IPv4-mapped IPv6 as IPv4, other IPv6 as its network,
 * `2001:db8::/64`.
 *
 * @param prefix Length of the network in bits, 1 to 128.
 */
export function addressNormalizer(prefix: number): AddressNormalizer {
  const networkIn = memoizeByAddress((text) =>
    // Node takes zones that no interface has, such as `::%.`.
    isIPv6(text) && ipaddr.IPv6.isValid(text) ? ipv6Network(text, prefix) : null,
  );
  return (text) => {
    if (text === null || text === undefined) return null;
    if (isIPv4(text)) return text;
    // How a dual-stack socket names an IPv4 peer: most addresses of most servers.
    if (text.startsWith('::ffff:') && isIPv4(text.slice(7))) return text.slice(7);
    return networkIn(text);
  };
}

/** So many addresses: most that come soon come again. */
const MAX_ADDRESSES = 10_000;
/** No address without a zone is longer, and a zone is as long as its sender likes. */
const MAX_ADDRESS_LENGTH = 45;

/** `find`, with what it has found for addresses before: that takes longer than deciding a request. */
export function memoizeByAddress<T extends string | boolean | null>(
  find: (address: string) => T,
): (address: string) => T {
  const known = new Map<string, T>();
  return (address) => {
    const before = known.get(address);
    if (before !== undefined) return before;
    const found = find(address);
    if (address.length > MAX_ADDRESS_LENGTH) return found;
    if (known.size >= MAX_ADDRESSES) known.clear();
    known.set(copyString(address), found);
    return found;
  };
}

/** Says whether an address is in some networks; what is no address is in none. */
export type NetworkMatcher = (address: string | null | undefined) => boolean;

/** Ranges that have a name, as Express and Fastify call them. */
const NAMED_RANGES: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.1/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/** The addresses that begin with the same bits. IPv4 counts as its mapping into IPv6, as dual-stack sockets mean it. */
type Network = readonly [address: ipaddr.IPv6, bits: number];

function addressOf(text: string): ipaddr.IPv6 {
  const address = ipaddr.parse(text);
  return address instanceof ipaddr.IPv4 ? address.toIPv4MappedAddress() : address;
}

function parseNetwork(text: unknown): Network {
  try {
    const written = String(text);
    if (isIP(written.split('/')[0] as string) === 0) throw new Error('a short form of an address');
    if (!written.includes('/')) return [addressOf(written), 128];
    const [address, bits] = ipaddr.parseCIDR(written);
    return address instanceof ipaddr.IPv4 ? [address.toIPv4MappedAddress(), 96 + bits] : [address, bits];
  } catch {
    throw configError(
      'bad-address',
      `${describeValue(text)} is no address and no network.`,
      `Give addresses and networks such as '203.0.113.7' and '10.0.0.0/8', or ${Object.keys(NAMED_RANGES).join(', ')}.`,
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
    // Node takes zones that no interface has, such as `::%.`.
    if (isIP(text) === 0 || !ipaddr.isValid(text)) return false;
    const address = addressOf(text);
    return networks.some(([network, bits]) => address.match(network, bits));
  });
  return (text) => text !== null && text !== undefined && find(text);
}
