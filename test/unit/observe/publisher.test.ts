import { type Published, Publisher } from '../../../lib/observe/publisher.js';
import { ALLOWED } from '../../support/outcomes.js';
import { requestDecided } from '../../support/published.js';

const setUp = () => {
  const reported: unknown[][] = [];
  const publisher = new Publisher((...args) => reported.push(args));
  const published: [subscriber: string, event: Published][] = [];
  publisher.subscribe((event) => published.push(['first', event]));
  publisher.subscribe((event) => published.push(['second', event]));
  return { publisher, published, reported };
};

test('publishes one event per request, to all subscribers in order', () => {
  const { publisher, published } = setUp();
  const event = requestDecided(ALLOWED);
  publisher.publish(event);
  expect(published).toEqual([
    ['first', event],
    ['second', event],
  ]);
  expect(published[0]?.[1]).toBe(published[1]?.[1]);
});

test('a subscriber that fails keeps the event from nobody, and is reported', () => {
  const { publisher, published, reported } = setUp();
  const error = new Error('The disk of the log is full.');
  publisher.subscribe(() => {
    throw error;
  });
  publisher.subscribe((event) => published.push(['last', event]));
  publisher.publish(requestDecided(ALLOWED));
  expect(published.map(([subscriber]) => subscriber)).toEqual(['first', 'second', 'last']);
  expect(reported).toEqual([['events', expect.any(String), error]]);
});

test('measures only for a subscriber that wants durations', () => {
  const { publisher } = setUp();
  expect(publisher.measures).toBe(false);
  publisher.subscribe(() => undefined, { measures: true });
  publisher.subscribe(() => undefined);
  expect(publisher.measures).toBe(true);
});
