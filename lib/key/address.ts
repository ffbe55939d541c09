import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { remembered } from './remembered.js';

/** IPv6 networks are handed out whole: the smallest one that a customer gets is a /64 (RFC 6177, RIPE-690). */
export const DEFAULT_IPV6_PREFIX = 64;

/** The first `bits` bits of a group of 16. */
const maskOf = (bits: number): number =>
  bits <= 0 ? 0 : bits >= 16 ? 0xffff : 0xffff & (0xffff << (16 - bits));

function networkOf(text: string, prefix: number): string {
  const address = ipaddr.IPv6.parse(text);
  if (address.isIPv4MappedAddress()) return address.toIPv4Address().toString();
  const network = new ipaddr.IPv6(address.parts.map((part, index) => part & maskOf(prefix - 16 * index)));
  return `${network.toString()}/${prefix}`;
}

/** Brings an address into the form under which it is charged; null for what is no address. */
export type AddressForm = (text: string | null | undefined) => string | null;

/**
 * The form of addresses: IPv4 as it is, IPv4-mapped IPv6 as IPv4, other IPv6 as its network,
 * `2001:db8::/64`.
 *
 * @param prefix Length of the network in bits, 1 to 128.
 */
export function addressForm(prefix: number): AddressForm {
  const networkIn = remembered((text) =>
    // Node takes zones that no interface has, such as `::%.`.
    isIPv6(text) && ipaddr.IPv6.isValid(text) ? networkOf(text, prefix) : null,
  );
  return (text) => {
    if (text === null || text === undefined) return null;
    if (isIPv4(text)) return text;
    // How a dual-stack socket names an IPv4 peer: most addresses of most servers.
    if (text.startsWith('::ffff:') && isIPv4(text.slice(7))) return text.slice(7);
    return networkIn(text);
  };
}
