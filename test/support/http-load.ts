import { mostInAnyWindow } from './bounds.js';
import { Servant } from './servant.js';

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

/** Sends requests at a constant rate from a process of its own, whether they are answered or not. */
export class HttpLoad {
  readonly #answers: Answered[] = [];

  private constructor(readonly servant: Servant) {}

  static async start(options: HttpLoadOptions): Promise<HttpLoad> {
    const servant = await Servant.start('./send-load.mjs');
    await servant.ask('start', options);
    return new HttpLoad(servant);
  }

  /** Sends no more, and waits for what is under way. */
  async stop(): Promise<void> {
    await this.servant.ask('stop');
    this.servant.end();
  }

  /** What was sent since then and is answered, by `nowMs` of servant.ts. */
  async since(sentMs: number): Promise<readonly Answered[]> {
    this.#answers.push(...(await this.servant.ask<Answered[]>('answers')));
    return this.#answers.filter((answer) => answer.sentMs >= sentMs);
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
