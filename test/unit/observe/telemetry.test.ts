import { MemoryStore, type MetricAttributes, type MetricResult } from 'nestjs-ratelimit';
import { Telemetry } from '../../../lib/observe/telemetry.js';
import { outcomeUnder } from '../../support/outcomes.js';
import { requestDecided } from '../../support/published.js';

test('however many routes and limits there are, there are 2,000 series at most, and nothing is lost', () => {
  let collect: (result: MetricResult) => void = () => undefined;
  const metric = { addCallback: () => undefined, removeCallback: () => undefined };
  const meter = {
    createHistogram: () => ({ record: () => undefined }),
    createObservableGauge: () => metric,
    createObservableCounter: () => ({
      ...metric,
      addCallback: (found: typeof collect) => {
        collect = found;
      },
    }),
  };
  const telemetry = new Telemetry(meter, new MemoryStore(), () => undefined);
  for (let id = 0; id < 3_000; id++) {
    telemetry.onPublished(requestDecided(outcomeUnder([{}]), { route: `Route.${id}` }));
    telemetry.onPublished(requestDecided(outcomeUnder([{ denies: true }]), { route: `Route.${id}` }));
  }
  const seen = new Map<string, number>();
  const seenTwice: string[] = [];
  collect({
    observe: (value, attributes) => {
      const key = JSON.stringify(attributes);
      if (seen.has(key)) seenTwice.push(key);
      seen.set(key, value);
    },
  });
  expect(seenTwice).toEqual([]);
  expect(seen.size).toBeLessThanOrEqual(2_000);
  expect([...seen.values()].reduce((sum, value) => sum + value, 0)).toBe(6_000);
  const other: MetricAttributes = {
    'rate_limit.name': 'other',
    'code.function.name': 'other',
    'rate_limit.outcome': 'denied',
  };
  expect(seen.get(JSON.stringify(other))).toBeGreaterThan(1_000);
});
