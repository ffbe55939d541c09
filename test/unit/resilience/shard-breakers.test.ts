import { TestClock } from 'nestjs-ratelimit/testing';
import { ShardBreakers } from '../../../lib/resilience/shard-breakers.js';
import { chargeOf } from '../../support/charges.js';
import { CountedClock, DOWN, turn } from '../../support/held-store.js';

const chargesOf = (...identities: readonly string[]) => identities.map((identity) => chargeOf({ identity }));

/** Breakers of a store with nodes, where `a:1` is kept by the node `a`; of one without any when none is given. */
const setUp = (...nodes: string[]) => {
  const clock = new TestClock();
  const counted = new CountedClock(clock);
  const changes: string[] = [];
  const probes: string[] = [];
  const down = new Set<string>();
  const shardOf = (identity: string): string => {
    const [kind = '', value] = identity.split(':');
    return kind === 'probe' ? (nodes[Number(value) % nodes.length] ?? '') : kind;
  };
  const breakers = new ShardBreakers({ threshold: 2, initialBackoffMs: 100 }, counted, {
    shardOf: nodes.length === 0 ? undefined : shardOf,
    probe: async (identity) => {
      const shard = nodes.length === 0 ? '' : shardOf(identity);
      probes.push(shard);
      if (down.has(shard)) throw DOWN;
    },
    onStateChange: (shard, { state }) => changes.push(`${shard} ${state}`),
  });
  const fail = (...identities: string[]) => {
    const startedMs = clock.now();
    clock.advance(10);
    breakers.onFailure(chargesOf(...identities), DOWN, startedMs);
  };
  const answer = (...identities: string[]) => breakers.onSuccess(chargesOf(...identities), clock.now());
  const isStopped = (...identities: string[]) => breakers.openBreakerFor(chargesOf(...identities)) !== null;
  const failuresOf = (name: string) => breakers.health().find(({ shard }) => shard === name)?.failures;
  const pause = async () => {
    clock.advance(100);
    await turn();
  };
  return {
    clock,
    counted,
    nodes,
    breakers,
    changes,
    probes,
    down,
    fail,
    answer,
    isStopped,
    failuresOf,
    pause,
  };
};

describe('A38 the breaker of a store that fails as a whole', () => {
  test('stops every call, for all identities, and closes after a probe', async () => {
    const { breakers, changes, probes, fail, isStopped, pause } = setUp();
    fail('user:1');
    expect(isStopped('user:2')).toBe(false);
    fail('user:2', 'ip:1');
    expect([isStopped('user:3'), isStopped('user:1', 'ip:2'), breakers.allClosed]).toEqual([
      true,
      true,
      false,
    ]);
    await pause();
    expect([probes, changes]).toEqual([[''], [' open', ' half-open', ' closed']]);
    expect([isStopped('user:3'), breakers.allClosed]).toEqual([false, true]);
  });

  test('tells of what is thrown, errors or not', () => {
    const { breakers } = setUp();
    breakers.trip('no error');
    expect(breakers.health()[0]?.error).toBe('no error');
  });

  test('opens but once for a store that failed when it was first asked', async () => {
    const { clock, breakers, changes, probes } = setUp();
    breakers.trip(DOWN);
    clock.advance(49);
    const pauseMs = breakers.health()[0]?.retryAfterMs;
    breakers.trip(new Error('again'));
    // Nor is its probe put off.
    expect(breakers.health()).toMatchObject([{ error: 'store is down', retryAfterMs: pauseMs }]);
    clock.advance(51);
    expect([changes, probes]).toEqual([[' open', ' half-open'], ['']]);
  });
});

describe('A38 the breakers of a store with nodes', () => {
  test('a node that fails does not stop calls to others', () => {
    const { fail, answer, isStopped } = setUp('a', 'b', 'c');
    fail('a:1');
    answer('b:1');
    fail('a:2');
    expect(['a:3', 'b:1', 'c:1'].map((identity) => isStopped(identity))).toEqual([true, false, false]);
  });

  test('a request over several nodes is stopped while any of them fails', () => {
    const { fail, isStopped } = setUp('a', 'b', 'c');
    fail('b:1');
    fail('b:1');
    expect([isStopped('a:1', 'b:1'), isStopped('a:1', 'a:2', 'c:1', 'b:1'), isStopped('a:1', 'c:1')]).toEqual(
      [true, true, false],
    );
  });

  test.each<[string, [node: string, atMs: number][], string[], number[]]>([
    [
      'of several nodes blames those that have not answered since',
      [
        ['b', 5],
        ['c', 5],
      ],
      ['a:1', 'b:1', 'a:2', 'c:1'],
      [1, 0, 0],
    ],
    ['of two nodes blames the one that has been silent for longer', [['b', -1]], ['a:1', 'b:1'], [1, 0, 0]],
    [
      'of nodes that have all answered since, or in the same millisecond, blames none',
      [
        ['a', 0],
        ['b', 5],
      ],
      ['a:1', 'b:1'],
      [0, 0, 0],
    ],
    ['that concerns a node several times counts once', [], ['a:1', 'a:2', 'b:1', 'a:3', 'b:2'], [1, 0, 0]],
    ['of one node blames it, whatever it has answered since', [['a', 5]], ['a:1', 'a:2'], [1, 0, 0]],
  ])('a failed request %s', (_what, answers, identities, failures) => {
    const { clock, breakers, answer, failuresOf } = setUp('a', 'b', 'c');
    const startedMs = clock.now() + 1;
    for (const [node, atMs] of answers) {
      clock.set(startedMs + atMs);
      answer(`${node}:2`);
    }
    clock.set(startedMs + 10);
    breakers.onFailure(chargesOf(...identities), DOWN, startedMs);
    expect(['a', 'b', 'c'].map((node) => failuresOf(node) ?? 0)).toEqual(failures);
  });

  test('a probe asks for an identity that the node keeps', async () => {
    const { probes, fail, pause, isStopped } = setUp('a', 'b', 'c');
    fail('c:1');
    fail('c:1');
    await pause();
    expect([probes, isStopped('c:1')]).toEqual([['c'], false]);
  });

  test('nodes are probed each by itself, and all are well when the last one is', async () => {
    const { breakers, down, fail, pause, isStopped } = setUp('a', 'b');
    down.add('a');
    for (const node of ['a', 'b']) {
      fail(`${node}:1`);
      fail(`${node}:1`);
    }
    await pause();
    expect([isStopped('a:1'), isStopped('b:1'), breakers.allClosed]).toEqual([true, false, false]);
    down.clear();
    await pause();
    await pause();
    expect([isStopped('a:1'), breakers.allClosed]).toEqual([false, true]);
  });

  test('a node that is no more is not probed, and forgotten', async () => {
    const { breakers, nodes, changes, probes, fail, pause, answer } = setUp('a', 'b');
    answer('b:1');
    fail('a:1');
    fail('a:1');
    nodes[0] = 'c';
    await pause();
    expect([probes, changes, breakers.allClosed]).toEqual([[], ['a open', 'a half-open', 'a closed'], true]);
    expect(breakers.health().map(({ shard }) => shard)).toEqual(['b']);
  });

  test('A42 none is probed any more once they are let go', async () => {
    const { breakers, counted, probes, fail, pause } = setUp('a', 'b');
    for (const node of ['a', 'b']) {
      fail(`${node}:1`);
      fail(`${node}:1`);
    }
    probes.length = 0;
    breakers.stop();
    await pause();
    await pause();
    expect([probes, counted.running]).toEqual([[], 0]);
  });
});
