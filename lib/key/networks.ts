import { BlockList, isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { mistake } from '../core/errors.js';
import { shown } from '../core/shown.js';

/** Says whether an address is in some networks; what is no address is in none. */
export type Networks = (address: string | null | undefined) => boolean;

/** Ranges that have a name, as Express and Fastify call them. */
const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.1/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

function add(list: BlockList, text: unknown): void {
  try {
    const written = String(text);
    const [address, bits] = written.includes('/')
      ? ipaddr.parseCIDR(written)
      : ([ipaddr.parse(written), null] as const);
    if (!isIP(written.split('/')[0] as string)) throw new Error('a short form of an address');
    if (bits === null) list.addAddress(address.toString(), address.kind());
    else list.addSubnet(address.toString(), bits, address.kind());
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
  const list = new BlockList();
  for (const text of texts.flatMap((text) => NAMED[text] ?? [text])) add(list, text);
  return (address) => {
    if (address === null || address === undefined) return false;
    const family = isIP(address);
    // A BlockList takes IPv4-mapped IPv6 for what it is.
    return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6');
  };
}
