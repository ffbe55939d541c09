import { isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** IPv6 networks are handed out whole: the smallest one that a customer gets is a /64 (RFC 6177, RIPE-690). */
export const DEFAULT_IPV6_PREFIX = 64;

/**
 * The form under which an address is charged: IPv4 as it is, IPv4-mapped IPv6 as IPv4, IPv6 as its
 * network, `2001:db8::/64`; null for what is no address.
 *
 * @param prefix Length of the IPv6 network in bits, 1 to 128.
 */
export function canonicalAddress(text: string | null | undefined, prefix: number): string | null {
  if (text === null || text === undefined) return null;
  if (isIPv4(text)) return text;
  if (!ipaddr.IPv6.isValid(text)) return null;
  const address = ipaddr.IPv6.parse(text);
  if (address.isIPv4MappedAddress()) return address.toIPv4Address().toString();
  address.zoneId = undefined;
  const network = ipaddr.IPv6.networkAddressFromCIDR(`${address.toNormalizedString()}/${prefix}`);
  return `${network.toString()}/${prefix}`;
}
