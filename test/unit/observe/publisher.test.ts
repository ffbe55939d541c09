import { type Published, Publisher } from '../../../lib/observe/publisher.js';
import { ALLOWED } from '../../support/outcomes.js';
import { requestDecided, requestFailed } from '../../support/published.js';

const setUp = () => {
  const publisher = new Publisher();
  const published: [subscriber: string, event: Published][] = [];
  publisher.subscribe((event) => published.push(['first', event]));
  publisher.subscribe((event) => published.push(['second', event]));
  return { publisher, published };
};

test('publishes one event per request, to all subscribers in order', () => {
  const { publisher, published } = setUp();
  const { plan, caller: context } = requestDecided(ALLOWED);
  publisher.request({ plan, context, outcome: ALLOWED, durationMs: 1 });
  expect(published).toEqual([
    ['first', requestDecided(ALLOWED)],
    ['second', requestDecided(ALLOWED)],
  ]);
  expect(published[0]?.[1]).toBe(published[1]?.[1]);
});

test.each([new Error('no database'), undefined])('publishes a failure without an outcome: %s', (error) => {
  const { publisher, published } = setUp();
  const { plan, caller: context } = requestFailed(error);
  publisher.requestFailed({ plan, context, durationMs: 1 }, error);
  expect(published[0]).toEqual(['first', requestFailed(error)]);
});

test('measures only for a subscriber that wants durations', () => {
  const { publisher } = setUp();
  expect(publisher.measures).toBe(false);
  publisher.subscribe(() => undefined, { measures: true });
  publisher.subscribe(() => undefined);
  expect(publisher.measures).toBe(true);
});
