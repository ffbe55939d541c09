import { mostInAnyWindow } from './bounds.js';
import { Servant } from './servant.js';

/** The result of one request. */
export interface Answered {
  readonly client: string;
  readonly path: string;
  /** 0 when the connection broke. */
  readonly status: number;
  readonly sentMs: number;
  readonly atMs: number;
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

  /** The completed requests since then, by `nowMs` of servant.ts. */
  async since(sentMs: number): Promise<readonly Answered[]> {
    this.#answers.push(...(await this.servant.ask<Answered[]>('answers')));
    return this.#answers.filter((answer) => answer.sentMs >= sentMs);
  }
}

/** The number of responses by status. */
export function statusesOf(answers: readonly Answered[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

interface Admission {
  readonly client: string;
  readonly atMs: number;
}

/** The most that any client was let through in any window. */
export function mostAdmitted(admissions: readonly Admission[], windowMs: number): number {
  const byClient = new Map<string, { atMs: number; cost: number }[]>();
  for (const { client, atMs } of admissions) {
    const timeline = byClient.get(client) ?? [];
    byClient.set(client, timeline);
    timeline.push({ atMs, cost: 1 });
  }
  const most = [...byClient.values()].map((timeline) =>
    mostInAnyWindow(
      timeline.sort((a, b) => a.atMs - b.atMs),
      windowMs,
    ),
  );
  return Math.max(0, ...most);
}
