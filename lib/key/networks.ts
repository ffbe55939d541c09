import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { mistake } from '../core/errors.js';
import { shown } from '../core/shown.js';
import { remembered } from './remembered.js';

/** Says whether an address is in some networks; what is no address is in none. */
export type Networks = (address: string | null | undefined) => boolean;

/** Ranges that have a name, as Express and Fastify call them. */
const NAMED: Readonly<Record<string, readonly string[]>> = {
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

function networkOf(text: unknown): Network {
  try {
    const written = String(text);
    if (isIP(written.split('/')[0] as string) === 0) throw new Error('a short form of an address');
    if (!written.includes('/')) return [addressOf(written), 128];
    const [address, bits] = ipaddr.parseCIDR(written);
    return address instanceof ipaddr.IPv4 ? [address.toIPv4MappedAddress(), 96 + bits] : [address, bits];
  } catch {
    throw mistake(
      'bad-address',
      `${shown(text)} is no address and no network.`,
      `Give addresses and networks such as '203.0.113.7' and '10.0.0.0/8', or ${Object.keys(NAMED).join(', ')}.`,
    );
  }
}

/**
 * Compiles a list of addresses, networks in CIDR notation, and `loopback`, `linklocal` and `uniquelocal`.
 *
 * @throws RateLimitConfigError `bad-address` for anything else.
 */
export function compileNetworks(texts: readonly string[]): Networks {
  const networks = texts.flatMap((text) => NAMED[text] ?? [text]).map(networkOf);
  const find = remembered((text) => {
    // Node takes zones that no interface has, such as `::%.`.
    if (isIP(text) === 0 || !ipaddr.isValid(text)) return false;
    const address = addressOf(text);
    return networks.some(([network, bits]) => address.match(network, bits));
  });
  return (text) => text !== null && text !== undefined && find(text);
}
