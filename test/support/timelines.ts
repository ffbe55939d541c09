import { readFileSync } from 'node:fs';
import type { Charge, Decision, Store } from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';
import { definePolicy } from '../../lib/core/policy.js';

type Expected = readonly [
  allowed: boolean,
  remaining: number,
  resetAfterMs: number,
  retryAfterMs: number | null,
];

interface Step {
  readonly at: number;
  readonly cost?: number;
  readonly peek?: true;
  readonly refund?: number;
  readonly expect?: Readonly<Record<string, Expected>>;
}

interface LimitLine {
  readonly algorithm: 'sliding-window' | 'fixed-window' | 'token-bucket';
  readonly limit: number;
  readonly windowMs: number;
  readonly burst?: number;
  readonly blockMs?: number;
  readonly shadow?: boolean;
}

export interface Timeline {
  readonly name: string;
  readonly limits: Readonly<Record<string, LimitLine>>;
  /** Charges before the steps, which all have to pass. */
  readonly repeat?: { readonly count: number; readonly everyMs: number };
  readonly steps: readonly Step[];
}

interface Golden {
  readonly startMs: number;
  readonly timelines: readonly Timeline[];
}

export const golden = JSON.parse(
  readFileSync(new URL('../golden/timelines.json', import.meta.url), 'utf8'),
) as Golden;

const chargesOf = ({ limits }: Timeline, cost: number): Charge[] =>
  Object.entries(limits).map(
    ([name, { limit, windowMs, algorithm, burst, blockMs = 0, shadow = false }]) => ({
      policy: definePolicy({
        name,
        scope: 'golden',
        rate: { limit, windowMs },
        algorithm,
        burst,
        blocks: blockMs > 0,
      }),
      identity: 'user:1',
      cost,
      shadow,
      blockDurationsMs: blockMs === 0 ? [] : [blockMs],
    }),
  );

const rowOf = ({ allowed, remaining, resetAfterMs, retryAfterMs }: Decision): Expected => [
  allowed,
  remaining,
  resetAfterMs,
  retryAfterMs,
];

/** Plays a timeline on a store and gives back what it answered, step by step, beside what it should. */
export async function play(
  timeline: Timeline,
  make: (clock: TestClock) => Store | Promise<Store>,
): Promise<{ answered: unknown[]; expected: unknown[] }> {
  const clock = new TestClock(golden.startMs);
  const store = await make(clock);
  const answered: unknown[] = [];
  const charged: (readonly Decision[])[] = [];
  const { count = 0, everyMs = 0 } = timeline.repeat ?? {};
  for (let i = 0; i < count; i++) {
    clock.set(golden.startMs + i * everyMs);
    const { decisions } = await store.consume(chargesOf(timeline, 1));
    answered.push(decisions.every(({ allowed }) => allowed));
  }
  for (const { at, cost = 1, peek, refund } of timeline.steps) {
    clock.set(golden.startMs + at);
    if (refund !== undefined) {
      await store.refund((charged[refund] ?? []).filter(({ receipt }) => receipt !== null));
      charged.push([]);
      answered.push('refund');
      continue;
    }
    const charges = chargesOf(timeline, cost);
    const { decisions } = await (peek ? store.peek(charges) : store.consume(charges));
    charged.push(decisions);
    answered.push({
      at,
      ...Object.fromEntries(decisions.map((decision) => [decision.name, rowOf(decision)])),
    });
  }
  await store.close?.();
  const expected = [
    ...Array.from({ length: count }, () => true),
    ...timeline.steps.map((step) => (step.expect === undefined ? 'refund' : { at: step.at, ...step.expect })),
  ];
  return { answered, expected };
}
