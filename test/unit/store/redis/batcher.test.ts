import { setImmediate as turn } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { Batcher } from '../../../../lib/store/redis/batcher.js';
import type { Charges, DecidedRequest, RedisReplyError } from '../../../../lib/store/redis/protocol.js';
import { chargeOf } from '../../../support/charges.js';

type Replies = readonly (DecidedRequest | RedisReplyError)[];

interface SentCall {
  readonly requests: readonly Charges[];
  reply(): Promise<void>;
  fail(): Promise<void>;
}

const requestOf = (identity: string, limits = 1): Charges =>
  Array.from({ length: limits }, () => chargeOf({ identity, limit: 1, windowMs: 1_000 }));

const setUp = () => {
  const calls: SentCall[] = [];
  let settled = 0;
  const batcher = new Batcher<null>(
    (requests) =>
      new Promise<Replies>((resolve, reject) => {
        calls.push({
          requests,
          reply: async () => {
            resolve(requests.map(() => ({ decisions: [], steadyMs: 0 })));
            await turn();
          },
          fail: async () => {
            reject(new Error('away'));
            await turn();
          },
        });
      }),
    { onSend: () => null, onReply: () => undefined, onSettled: () => settled++ },
  );
  const add = (count: number, batchKey = '', limits = 1) =>
    Array.from({ length: count }, (_, at) => batcher.add(batchKey, requestOf(`user:${at}`, limits), false));
  const sizes = () => calls.map(({ requests }) => requests.length);
  return { calls, add, sizes, settled: () => settled };
};

describe('the batcher', () => {
  test('sends a request immediately if nothing is in flight', () => {
    const { add, sizes } = setUp();
    add(1);
    expect(sizes()).toEqual([1]);
  });

  test('sends the other requests of the turn together', async () => {
    const { add, sizes } = setUp();
    add(10);
    await turn();
    expect(sizes()).toEqual([1, 9]);
  });

  test('has at most four calls of 32 requests in flight, and sends the next when one is replied to', async () => {
    const { calls, add, sizes } = setUp();
    const replies = add(200);
    await turn();
    expect(sizes()).toEqual([1, 32, 32, 32]);
    await turn();
    expect(calls).toHaveLength(4);
    await calls[1]?.reply();
    expect(sizes()).toEqual([1, 32, 32, 32, 32]);
    for (let at = 0; at < calls.length; at++) await calls[at]?.reply();
    expect(sizes()).toEqual([1, 32, 32, 32, 32, 32, 32, 7]);
    await Promise.all(replies);
  });

  test('sends at most 512 charges in a call, but always a whole request', async () => {
    const { add, sizes } = setUp();
    add(1);
    add(4, '', 200);
    await turn();
    expect(sizes()).toEqual([1, 2, 2]);
  });

  test('sends requests with different batch keys in different calls', async () => {
    const { add, sizes } = setUp();
    add(1, 'a');
    add(3, 'b');
    await turn();
    expect(sizes()).toEqual([1, 1, 2]);
  });

  test('rejects the requests of a call that fails, and sends the next', async () => {
    const { calls, add, settled } = setUp();
    const [first, second] = add(2) as [Promise<unknown>, Promise<unknown>];
    await turn();
    const failure = expect(first).rejects.toThrow('away');
    await calls[0]?.fail();
    await failure;
    await calls[1]?.reply();
    await second;
    expect(settled()).toBe(2);
    add(1);
    expect(calls).toHaveLength(3);
  });

  test('sends more if there was no reply for 100 ms, so a silent server holds up nobody for ever', async () => {
    let nowMs = 1_000;
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => nowMs);
    const { add, sizes } = setUp();
    add(97);
    await turn();
    expect(sizes()).toEqual([1, 32, 32, 32]);
    add(1);
    await turn();
    expect(sizes()).toHaveLength(4);
    nowMs += 100;
    add(1);
    await turn();
    expect(sizes()).toEqual([1, 32, 32, 32, 2]);
    clock.mockRestore();
  });
});
