import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TestClock } from 'nestjs-ratelimit/testing';
import { LiveStream } from '../../../lib/admin/live.js';
import { RateLimitStats } from '../../../lib/observe/stats/stats.js';
import { CountedClock } from '../../support/held-store.js';
import { until } from '../../support/until.js';

let server: Server;
let clock: TestClock;
let counted: CountedClock;
let live: LiveStream;
/** What a test does with a request. */
let handle: (response: ServerResponse) => unknown;

beforeEach(async () => {
  clock = new TestClock();
  counted = new CountedClock(clock);
  const health = () => ({ status: 'up' as const, shards: [], degraded: 0 });
  live = new LiveStream(new RateLimitStats(), { health }, counted);
  handle = (response) => live.stream(response);
  server = createServer((_request, response) => handle(response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

async function opened(): Promise<IncomingMessage> {
  const { port } = server.address() as AddressInfo;
  const [response] = (await once(get({ port, agent: false }), 'response')) as [IncomingMessage];
  response.setEncoding('utf8');
  return response;
}

test('all streams share one timer, which ends with the last of them', async () => {
  expect(counted.running).toBe(0);
  const [one, other] = [await opened(), await opened()];
  expect(counted.running).toBe(1);
  clock.advance(1_000);
  for (const response of [one, other]) {
    const [text] = (await once(response, 'data')) as [string];
    expect(JSON.parse(text.replace('data: ', ''))).toMatchObject({ total: 0, store: 'up' });
  }
  one.destroy();
  other.destroy();
  await until('the timer has ended', async () => counted.running === 0);
});

test('a stream ends after ten minutes, so that guards run again', async () => {
  const response = await opened();
  response.resume();
  clock.advance(599_000);
  expect(response.complete).toBe(false);
  const ended = once(response, 'end');
  clock.advance(1_000);
  await ended;
  await until('the timer has ended', async () => counted.running === 0);
});

test('a client that disconnects while guards run leaves no timer', async () => {
  let seen: Promise<void> = Promise.resolve();
  handle = (response) => {
    seen = once(response, 'close').then(() => live.stream(response));
  };
  const { port } = server.address() as AddressInfo;
  const request = get({ port, agent: false });
  request.on('error', () => undefined);
  await once(server, 'request');
  request.destroy();
  await seen;
  expect(counted.running).toBe(0);
});

test('at most a hundred streams are open, and none after end()', async () => {
  for (let i = 0; i < 100; i++) await opened();
  const refused: unknown[] = [];
  handle = (response) => {
    try {
      live.stream(response);
    } catch (error) {
      refused.push(error);
      response.end();
    }
  };
  await opened();
  expect(String(refused)).toContain('No more live streams can be opened now.');
  live.end();
  await until('all have ended', async () => counted.running === 0);
  await opened();
  expect(refused).toHaveLength(2);
});
