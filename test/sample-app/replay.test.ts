import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { RateLimitStats } from 'nestjs-ratelimit';
import { parseLog } from '../../sample-app/access-log.js';
import { createShop } from '../../sample-app/app.js';
import { type Replay, replay, replayTo } from '../../sample-app/replay.js';

/** The limits that the shop puts on anonymous callers of its pages. */
const LIMITS = [
  { name: 'flood', limit: 600, windowMs: 60_000 },
  { name: 'anon', limit: 100, windowMs: 3_600_000 },
  { name: 'burst', limit: 60, windowMs: 60_000 },
  { name: 'sustained', limit: 1_000, windowMs: 86_400_000 },
] as const;

interface Kept {
  stamps: number[];
  coarse: boolean;
}

/**
 * Counts a log by the documented rule in the plainest way, with nothing of the library: one entry for
 * every admitted request, of each of which is asked again and again whether it still counts.
 */
function countIndependently(text: string): Omit<Replay, 'limits'> & { limits: Map<string, number> } {
  const kept = new Map<string, Kept>();
  const clients = new Map<string, number>();
  const limits = new Map<string, number>();
  let [allowed, denied] = [0, 0];

  for (const line of text.split('\n')) {
    const [address, , , time] = line.split(' ');
    if (address === undefined || time === undefined) continue;
    const now = Date.parse(time.replace('[', '').replaceAll('/', ' ').replace(':', ' '));
    const waits = LIMITS.map(({ name, limit, windowMs }) => {
      const of = kept.get(`${address} ${name}`) ?? { stamps: [], coarse: false };
      kept.set(`${address} ${name}`, of);
      const sub = Math.ceil(windowMs / 32);
      const stampOf = (ms: number) => (of.coarse ? ms - (ms % sub) + sub - 1 : ms);
      of.stamps = of.stamps
        .filter((stamp) => stamp > now - windowMs)
        .map((stamp) => Math.min(stamp, stampOf(now)));
      if (of.stamps.length === 0) of.coarse = false;
      const over = of.stamps.length + 1 - limit;
      const lastToEnd = () => [...of.stamps].sort((a, b) => a - b)[over - 1] as number;
      const waitMs = over <= 0 ? 0 : lastToEnd() + windowMs - now;
      return { name, windowMs, of, sub, waitMs };
    });
    const deciding = waits.reduce((a, b) => (b.waitMs > a.waitMs ? b : a));
    if (deciding.waitMs > 0) {
      denied++;
      clients.set(address, (clients.get(address) ?? 0) + 1);
      limits.set(deciding.name, (limits.get(deciding.name) ?? 0) + 1);
      continue;
    }
    allowed++;
    for (const { of, sub } of waits) {
      const end = (ms: number) => ms - (ms % sub) + sub - 1;
      if (!of.coarse && !of.stamps.includes(now) && new Set(of.stamps).size === 32) {
        of.coarse = true;
        of.stamps = of.stamps.map(end);
      }
      of.stamps.push(of.coarse ? end(now) : now);
    }
  }
  return {
    allowed,
    denied,
    clients: [...clients].sort(([a, m], [b, n]) => n - m || a.localeCompare(b)),
    limits,
  };
}

/** A log with everything that a real one has: crowds, lines out of order, odd methods and odd paths. */
function generatedLog(): string {
  let seed = 42;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  const start = Date.UTC(2026, 0, 1);
  const lines: string[] = [];
  for (let i = 0; i < 3_000; i++) {
    // One client in three requests a page many times a minute, the others now and then.
    const address = i % 3 === 0 ? `198.51.100.${1 + random(3)}` : `203.0.113.${1 + random(200)}`;
    const at = new Date(start + i * 900 - random(60) * 1_000);
    const [, day, month, year, time] = /^\w+, (\d+) (\w+) (\d+) (\S+)/.exec(at.toUTCString()) ?? [];
    const path = i === 1_234 ? '/%E8%F1' : i % 50 === 0 ? '/' : `/page/${i}?from=a+b`;
    const method = i % 40 === 0 ? 'HEAD' : i % 997 === 0 ? 'OPTIONS' : 'GET';
    lines.push(
      `${address} - - [${day}/${month}/${year}:${time} +0000] "${method} ${path} HTTP/1.1" 200 1 "-" "test"`,
    );
  }
  return lines.join('\n');
}

/** A real log of 10,000 requests, where one stands beside the checkout or is named. */
const realLog =
  process.env.ACCESS_LOG ?? fileURLToPath(new URL('../../../shared/data/access.log', import.meta.url));
const logs: [name: string, text: string][] = [['a generated log', generatedLog()]];
if (existsSync(realLog)) logs.push(['a real log', readFileSync(realLog, 'utf8')]);

test.each(logs)('a replay of %s agrees with an independent count', async (_name, text) => {
  const expected = countIndependently(text);
  const { requests, unread } = parseLog(text);
  expect(unread).toEqual([]);
  const counted = await replay(requests);
  expect({ ...counted, limits: new Map(counted.limits) }).toEqual(expected);
  expect(counted.allowed + counted.denied).toBe(requests.length);
  expect(counted.denied).toBeGreaterThan(0);
});

test('an invalid line is left out and reported', () => {
  const { requests, unread } = parseLog(
    'nonsense\n1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 1\n\n- "-" 408\n',
  );
  expect(requests).toEqual([{ address: '1.2.3.4', atMs: Date.UTC(2026, 0, 1), method: 'GET', path: '/' }]);
  expect(unread).toEqual([1, 4]);
});

test('a replay to a running shop is counted there, at the given speed', async () => {
  const shop = await createShop({ logger: ['error'] });
  try {
    await shop.listen(0, '127.0.0.1');
    const requests = Array.from({ length: 70 }, (_, at) => ({
      address: '203.0.113.7',
      atMs: at,
      method: 'GET',
      path: `/page/${at}`,
    }));
    const start = performance.now();
    const { allowed, denied, clients, limits } = await replayTo(new URL(await shop.getUrl()), requests, 100);
    expect(performance.now() - start).toBeGreaterThan(690);
    expect([allowed, denied, clients, limits]).toEqual([60, 10, [['203.0.113.7', 10]], [['burst', 10]]]);
    const { hours, topDeniedClients } = await shop.get(RateLimitStats).snapshot();
    // In all hours, since one may end meanwhile.
    const sum = (what: 'allowed' | 'denied') => hours.reduce((all, hour) => all + hour[what], 0);
    expect([sum('allowed'), sum('denied')]).toEqual([60, 10]);
    expect(topDeniedClients).toEqual([{ identity: 'ip:203.0.113.7', denied: 10 }]);
  } finally {
    await shop.close();
  }
});
