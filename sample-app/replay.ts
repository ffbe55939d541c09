import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { urlToHttpOptions } from 'node:url';
import { parseArgs } from 'node:util';
import { MemoryStore } from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';
import { type LoggedRequest, parseLog } from './access-log.js';
import { createShop } from './app.js';

/** A response of the shop. */
interface ShopResponse {
  readonly status: number;
  /** The limit that denied the request; null if it was allowed. */
  readonly deniedBy: string | null;
}

/** The counts of a replay. */
export interface Replay {
  readonly allowed: number;
  readonly denied: number;
  /** Denied requests by client, in descending order. */
  readonly clients: readonly (readonly [address: string, denied: number])[];
  /** Denied requests by limit, in descending order. */
  readonly limits: readonly (readonly [name: string, denied: number])[];
}

function send(url: URL, agent: Agent, { address, method, path }: LoggedRequest): Promise<ShopResponse> {
  return new Promise((resolve, reject) => {
    const options = {
      ...urlToHttpOptions(url),
      agent,
      method,
      path: `/pages?path=${encodeURIComponent(path)}`,
      headers: { 'X-Forwarded-For': address },
    };
    const sent = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        const status = response.statusCode ?? 0;
        const deniedBy =
          status === 429 ? denyingLimit(response.headers.ratelimit, Buffer.concat(chunks)) : null;
        resolve({ status, deniedBy });
      });
    });
    sent.once('error', reject);
    sent.end();
  });
}

/** Returns the limit that denied: from the body, or for a HEAD, which has none, the one with nothing remaining. */
function denyingLimit(header: string | string[] | undefined, body: Buffer): string {
  if (body.length > 0)
    return (JSON.parse(body.toString()) as { details: { throttle_type: string } }).details.throttle_type;
  return /"([^"]*)";r=0;/.exec(String(header))?.[1] ?? 'unknown';
}

/** Counts the responses of the shop. */
class Tally {
  #allowed = 0;
  readonly #clients: string[] = [];
  readonly #limits: string[] = [];

  add({ address, method, path }: LoggedRequest, { status, deniedBy }: ShopResponse): void {
    if (deniedBy !== null) {
      this.#clients.push(address);
      this.#limits.push(deniedBy);
    } else if (status === 200) this.#allowed++;
    else throw new Error(`The shop responded with ${status} to ${method} ${path}`);
  }

  get replay(): Replay {
    return {
      allowed: this.#allowed,
      denied: this.#clients.length,
      clients: countNames(this.#clients),
      limits: countNames(this.#limits),
    };
  }
}

const countNames = (names: readonly string[]): readonly (readonly [string, number])[] => {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort(([a, m], [b, n]) => n - m || a.localeCompare(b));
};

/**
 * Sends the requests of a log to a running shop, in order and at a fixed rate, each from its own client's address. The
 * admin page then shows live traffic.
 */
export async function replayTo(
  url: URL,
  requests: readonly LoggedRequest[],
  perSecond: number,
): Promise<Replay> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const startMs = performance.now();
  const tally = new Tally();
  try {
    for (const [at, logged] of requests.entries()) {
      const aheadMs = startMs + (at * 1_000) / perSecond - performance.now();
      if (aheadMs > 0) await sleep(aheadMs);
      tally.add(logged, await send(url, agent, logged));
    }
  } finally {
    agent.destroy();
  }
  return tally.replay;
}

/**
 * Sends the requests of a log to a new shop, in order, each from its own client's address and at its own time: the
 * clock of the limits follows the log.
 */
export async function replay(requests: readonly LoggedRequest[]): Promise<Replay> {
  const clock = new TestClock(requests[0]?.atMs ?? 0);
  const app = await createShop({ store: new MemoryStore({ clock }), logger: ['error', 'warn'] });
  await app.listen(0, '127.0.0.1');
  const url = new URL(await app.getUrl());
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const tally = new Tally();
  try {
    for (const logged of requests) {
      clock.set(logged.atMs);
      tally.add(logged, await send(url, agent, logged));
    }
  } finally {
    agent.destroy();
    await app.close();
  }
  return tally.replay;
}

const table = (rows: readonly (readonly [string, number])[]): string =>
  rows.map(([name, count]) => `  ${String(count).padStart(6)}  ${name}`).join('\n') || '  none';

function read(file: string): string {
  try {
    // npm runs scripts in the project's folder, and a path is relative to the caller's.
    return readFileSync(resolve(process.env.INIT_CWD ?? '.', file), 'utf8');
  } catch (error) {
    console.error(`${file} cannot be read: ${(error as Error).message}`);
    process.exit(1);
  }
}

const USAGE = `npm run replay -- access.log [--to http://localhost:3000 [--per-second 50]]
  Replays a log in the combined format of Apache and nginx: instantly and with its own times, through a new shop, or
  with --to as live traffic, to a running one.`;

function parseUrl(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  console.error(
    `--to is ${JSON.stringify(text)}, which is not a URL. Give one such as http://localhost:3000.`,
  );
  process.exit(1);
}

function parsePerSecond(text: string): number {
  const perSecond = Number(text);
  if (perSecond > 0 && perSecond <= 10_000) return perSecond;
  console.error(`--per-second is ${JSON.stringify(text)}. Give a number from 1 to 10000.`);
  process.exit(1);
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      to: { type: 'string' },
      'per-second': { type: 'string', default: '50' },
    },
  });
  const [file] = positionals;
  if (values.help) return console.log(USAGE);
  if (file === undefined) {
    console.error(`Give an access log: ${USAGE}`);
    process.exit(1);
  }
  const { requests, unread } = parseLog(read(file));
  if (unread.length > 0) {
    console.error(
      `${unread.length} lines are not in the combined format and were left out. The first one is line ${unread[0]}.`,
    );
  }
  const { allowed, denied, clients, limits } =
    values.to === undefined
      ? await replay(requests)
      : await replayTo(parseUrl(values.to), requests, parsePerSecond(values['per-second']));
  console.log(`${requests.length} requests: ${allowed} allowed, ${denied} denied`);
  console.log(`Most denied clients:\n${table(clients.slice(0, 10))}`);
  console.log(`Limits that denied:\n${table(limits)}`);
}

if (process.argv[1] === import.meta.filename) await main();
