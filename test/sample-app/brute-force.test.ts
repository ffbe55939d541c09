import type { INestApplication } from '@nestjs/common';
import { MemoryStore } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { createShop } from '../../sample-app/app.js';
import { type RedisServer, startRedis } from '../support/redis.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});

const stores = {
  memory: () => new MemoryStore(),
  redis: () => new RedisStore({ url: redis.url, prefix: `run-${runs}` }),
};
let runs = 0;

const times = (count: number, status: number): number[] => Array.from({ length: count }, () => status);

describe.each([
  ['express', 'memory'],
  ['fastify', 'memory'],
  ['express', 'redis'],
  ['fastify', 'redis'],
] as const)('guesses of a password, on %s and %s', (platform, kind) => {
  let shop: INestApplication;
  let url: string;
  beforeEach(async () => {
    runs++;
    shop = await createShop({ platform, store: stores[kind](), logger: ['error'] });
    await shop.listen(0, '127.0.0.1');
    url = await shop.getUrl();
  });
  afterEach(() => shop.close());

  /** One guess, from an address as a trusted proxy on this machine tells it. */
  const guess = async (body: string, from = '203.0.113.9'): Promise<number> =>
    (
      await fetch(`${url}/auth/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': from },
        body,
      })
    ).status;
  const at = (email: unknown, password = 'guess') => JSON.stringify({ email, password });

  test('addresses that a client adds to X-Forwarded-For do not evade the limit', async () => {
    const seen: number[] = [];
    for (let i = 0; i < 7; i++) seen.push(await guess(at('a@example.org'), `198.51.100.${i}, 203.0.113.9`));
    expect(seen).toEqual([...times(5, 401), 429, 429]);
    expect(await guess(at('a@example.org'), 'garbage, , 203.0.113.9')).toBe(429);
  });

  test('the 21st guess with different e-mails is denied', async () => {
    const seen: number[] = [];
    for (let i = 0; i < 22; i++) seen.push(await guess(at(`user${i}@example.org`)));
    expect(seen).toEqual([...times(20, 401), 429, 429]);
  });

  test('the 101st guess from different addresses is denied', async () => {
    const seen: number[] = [];
    for (let i = 0; i < 101; i++) seen.push(await guess(at('alice@example.org'), `198.51.100.${i}`));
    expect(seen).toEqual([...times(100, 401), 429]);
  });

  test('one e-mail in other cases, widths and spaces is one account', async () => {
    const variants = [
      'alice@example.org',
      'ALICE@EXAMPLE.ORG',
      ' alice@example.org ',
      '\uff41lice@example.org',
      'Alice@Example.Org\u00a0',
      'alice@example.org',
    ];
    const seen: number[] = [];
    for (const email of variants) seen.push(await guess(at(email)));
    expect(seen).toEqual([...times(5, 401), 429]);
  });

  test('for a body without a valid e-mail, the address is charged', async () => {
    const bodies = [
      '{}',
      at(null),
      at(['alice@example.org']),
      at({ toString: 'alice' }),
      at(''),
      at([]),
      at({}),
    ];
    const seen: number[] = [];
    for (const body of bodies) seen.push(await guess(body));
    expect(seen).toEqual([...times(5, 401), 429, 429]);
  });

  test('for a body that tries prototype pollution, the address is charged, if the platform accepts it at all', async () => {
    const tricks = [
      '{"__proto__":{"email":"alice@example.org"}}',
      '{"constructor":{"prototype":{"email":"a"}}}',
    ];
    const seen: number[] = [];
    for (let i = 0; i < 6; i++) seen.push(await guess(tricks[i % 2] as string));
    expect(seen).toEqual(platform === 'fastify' ? times(6, 400) : [...times(5, 401), 429]);
  });

  test('long values are limited like others, and bodies that are too long never reach a limit', async () => {
    const long = `${'x'.repeat(50_000)}@example.org`;
    const seen: number[] = [];
    for (let i = 0; i < 6; i++) seen.push(await guess(at(long)));
    expect(seen).toEqual([...times(5, 401), 429]);
    expect(await guess(at('x'.repeat(2_000_000)))).toBe(413);
    expect(await guess('{"email":', '203.0.113.10')).toBe(400);
  });

  test('correct passwords do not count', async () => {
    const right = at('alice@example.org', 'wonderland');
    for (let i = 0; i < 10; i++) expect(await guess(right)).toBe(200);
    for (let i = 0; i < 5; i++) expect(await guess(at('alice@example.org'))).toBe(401);
    expect(await guess(right)).toBe(429);
  });
});
