import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { mostInAnyWindow } from './bounds.js';

/** What became of one request. */
export interface Answered {
  readonly client: string;
  readonly path: string;
  /** 0 when the connection broke. */
  readonly status: number;
  readonly sentMs: number;
  readonly tookMs: number;
}

export interface HttpLoadOptions {
  readonly url: string;
  readonly paths: readonly string[];
  /** Addresses, each of which sends as many requests as the others. */
  readonly clients: readonly string[];
  readonly perSecond: number;
}

const TICK_MS = 10;

/** Sends requests at a constant rate, whether they are answered or not, as clients do. */
export class HttpLoad {
  readonly answers: Answered[] = [];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 256 });
  readonly #timer: NodeJS.Timeout;
  readonly #startMs = performance.now();
  #sent = 0;
  #underWay = 0;

  constructor(readonly options: HttpLoadOptions) {
    this.#timer = setInterval(() => this.#send(), TICK_MS);
  }

  /** Sends no more, and waits for what is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    while (this.#underWay > 0) await sleep(5);
    this.#agent.destroy();
  }

  /** What was sent since then. */
  since(sentMs: number): readonly Answered[] {
    return this.answers.filter((answer) => answer.sentMs >= sentMs);
  }

  #send(): void {
    const due = ((performance.now() - this.#startMs) * this.options.perSecond) / 1_000;
    for (; this.#sent < due; this.#sent++) this.#ask(this.#sent);
  }

  #ask(turn: number): void {
    const { url, clients, paths } = this.options;
    const client = clients[turn % clients.length] as string;
    const path = paths[Math.floor(turn / clients.length) % paths.length] as string;
    const sentMs = performance.now();
    this.#underWay++;
    const end = (status: number) => {
      this.#underWay--;
      this.answers.push({ client, path, status, sentMs, tookMs: performance.now() - sentMs });
    };
    get(`${url}${path}`, { agent: this.#agent, headers: { 'x-forwarded-for': client } }, (response) => {
      response.resume();
      response.once('end', () => end(response.statusCode ?? 0));
    }).once('error', () => end(0));
  }
}

/** How long the slowest answers took, but for so many of a thousand. */
export function slowestOf(answers: readonly Answered[], perMille = 0): number {
  const took = answers.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
  return took[Math.ceil(took.length * (1 - perMille / 1_000)) - 1] ?? 0;
}

/** How many were answered with each status. */
export function statusesOf(answers: readonly Answered[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** The most that any client was let through in any window, by when its requests were answered. */
export function mostAdmitted(answers: readonly Answered[], windowMs: number): number {
  const byClient = new Map<string, { atMs: number; cost: number }[]>();
  for (const { client, status, sentMs, tookMs } of answers) {
    if (status !== 200) continue;
    const admissions = byClient.get(client) ?? [];
    byClient.set(client, admissions);
    admissions.push({ atMs: sentMs + tookMs, cost: 1 });
  }
  const most = [...byClient.values()].map((admissions) =>
    mostInAnyWindow(
      admissions.sort((a, b) => a.atMs - b.atMs),
      windowMs,
    ),
  );
  return Math.max(0, ...most);
}
