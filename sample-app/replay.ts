import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { parseArgs } from 'node:util';
import { MemoryStore } from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';
import { createShop } from './app.js';

/** One line of an access log. */
interface LoggedRequest {
  readonly address: string;
  readonly atMs: number;
  readonly method: string;
  readonly path: string;
}

/** What the shop answered. */
interface Answer {
  readonly status: number;
  /** The limit that denied it, null for one that passed. */
  readonly bound: string | null;
}

/** The counts of a replay. */
export interface Replay {
  readonly allowed: number;
  readonly denied: number;
  /** Denied requests by client, the most denied first. */
  readonly clients: readonly (readonly [address: string, denied: number])[];
  /** Denied requests by the limit that bound, the most frequent first. */
  readonly limits: readonly (readonly [name: string, denied: number])[];
}

// Apache's combined format: address identity user [time] "method path protocol" ...
const LINE =
  /^(\S+) \S+ \S+ \[(\d\d)\/(\w{3})\/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d\d)(\d\d)\] "([A-Z]+) (\S+)/;

function parseLine(line: string): LoggedRequest | null {
  const match = LINE.exec(line);
  if (match === null) return null;
  const [, address, day, month, year, hours, minutes, seconds, zoneHours, zoneMinutes, method, path] = match;
  const time = `${day} ${month} ${year} ${hours}:${minutes}:${seconds} ${zoneHours}${zoneMinutes}`;
  return { address: address ?? '', atMs: Date.parse(time), method: method ?? '', path: path ?? '' };
}

/** An access log as far as it can be read. */
export interface AccessLog {
  /** In the order of the lines. */
  readonly requests: readonly LoggedRequest[];
  /** The numbers of lines that are not of the combined format: real logs have a few. */
  readonly unread: readonly number[];
}

/** Reads an access log. */
export function parseLog(text: string): AccessLog {
  const requests: LoggedRequest[] = [];
  const unread: number[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const request = parseLine(line);
    if (request === null) unread.push(index + 1);
    else requests.push(request);
  }
  return { requests, unread };
}

function send(port: number, agent: Agent, { address, method, path }: LoggedRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
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
        const bound = status === 429 ? boundBy(response.headers.ratelimit, Buffer.concat(chunks)) : null;
        resolve({ status, bound });
      });
    });
    sent.once('error', reject);
    sent.end();
  });
}

/** The limit that bound: in the body, or for a HEAD, which has none, the one with nothing left. */
function boundBy(header: string | string[] | undefined, body: Buffer): string {
  if (body.length > 0)
    return (JSON.parse(body.toString()) as { details: { throttle_type: string } }).details.throttle_type;
  return /"([^"]*)";r=0;/.exec(String(header))?.[1] ?? 'unknown';
}

const counted = (names: readonly string[]): readonly (readonly [string, number])[] => {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort(([a, m], [b, n]) => n - m || a.localeCompare(b));
};

/**
 * Sends a log through the running shop, in order, each request from its own client's address and at its
 * own time: the clock of the limits follows the log.
 */
export async function replay(requests: readonly LoggedRequest[]): Promise<Replay> {
  const clock = new TestClock(requests[0]?.atMs ?? 0);
  const app = await createShop({ store: new MemoryStore({ clock }), logger: ['error', 'warn'] });
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as { port: number };
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const deniedClients: string[] = [];
  const boundLimits: string[] = [];
  let allowed = 0;
  try {
    for (const logged of requests) {
      clock.set(logged.atMs);
      const { status, bound } = await send(port, agent, logged);
      if (bound !== null) {
        deniedClients.push(logged.address);
        boundLimits.push(bound);
      } else if (status === 200) allowed++;
      else throw new Error(`The shop answered ${status} to ${logged.method} ${logged.path}`);
    }
  } finally {
    agent.destroy();
    await app.close();
  }
  return {
    allowed,
    denied: deniedClients.length,
    clients: counted(deniedClients),
    limits: counted(boundLimits),
  };
}

const table = (rows: readonly (readonly [string, number])[]): string =>
  rows.map(([name, count]) => `  ${String(count).padStart(6)}  ${name}`).join('\n') || '  none';

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    console.error(`${file} cannot be read: ${(error as Error).message}`);
    process.exit(1);
  }
}

const USAGE = 'npm run replay -- access.log, a log in the combined format of Apache and nginx';

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' } },
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
      `${unread.length} lines are not of the combined format and left out, the first is line ${unread[0]}.`,
    );
  }
  const { allowed, denied, clients, limits } = await replay(requests);
  console.log(`${requests.length} requests: ${allowed} allowed, ${denied} denied`);
  console.log(`Most denied clients:\n${table(clients.slice(0, 10))}`);
  console.log(`Limits that bound:\n${table(limits)}`);
}

if (process.argv[1] === import.meta.filename) await main();
