import { type Charge, type FailMode } from 'nestjs-ratelimit';
import { definePolicy } from '../../../lib/core/policy.js';
import { decideByFailMode } from '../../../lib/resilience/fallback.js';
import { StoreUnavailableError } from '../../../lib/store/store.js';
import { DOWN } from '../../support/held-store.js';

/** `local`, or `local shadow` for a shadow limit; the name of the limit tells its place as well. */
type Mode = FailMode | `${FailMode} shadow`;

const chargesOf = (modes: readonly Mode[]): readonly Charge[] =>
  modes.map((mode, at) => ({
    policy: definePolicy({
      name: `${at} ${mode}`,
      scope: 'test',
      rate: { limit: 5, windowMs: 1_000 },
      failMode: mode.split(' ')[0] as FailMode,
    }),
    identity: 'user:1',
    cost: 1,
    shadow: mode.endsWith('shadow'),
    blockDurationsMs: [],
  }));

/** What is asked of the process, or refused, when the limits of a request have these modes. */
const decide = (...modes: Mode[]) => {
  const asked: string[][] = [];
  const local = (some: readonly Charge[]) => {
    asked.push(some.map(({ policy }) => policy.name));
    return [];
  };
  try {
    decideByFailMode(chargesOf(modes), local, 70, DOWN);
  } catch (error) {
    expect(error).toBeInstanceOf(StoreUnavailableError);
    expect(error).toMatchObject({ retryAfterMs: 70, cause: DOWN });
    return { refusedBy: (error as StoreUnavailableError).limits, asked };
  }
  return { asked };
};

describe('A37 a request without its store', () => {
  test.each<[string, Mode[], string[]]>([
    ['local', ['local'], ['0 local']],
    ['several that are local, in their order', ['local', 'local'], ['0 local', '1 local']],
    ['local beside open, which is left out', ['open', 'local', 'open'], ['1 local']],
    ['a shadow limit that is local', ['local shadow'], ['0 local shadow']],
    ['a shadow limit that is closed beside a local one', ['closed shadow', 'local'], ['1 local']],
    ['a shadow limit that is open beside a local one', ['local', 'open shadow'], ['0 local']],
  ])('is decided by the process under limits that are %s', (_what, modes, asked) => {
    expect(decide(...modes)).toEqual({ asked: [asked] });
  });

  test.each<[string, Mode[], string[]]>([
    ['one that is closed', ['closed'], ['0 closed']],
    ['one that is closed beside others', ['local', 'closed', 'open'], ['1 closed']],
    ['several that are closed', ['closed', 'local shadow', 'closed'], ['0 closed', '2 closed']],
  ])('is refused for %s, and nobody is asked', (_what, modes, refusedBy) => {
    expect(decide(...modes)).toEqual({ refusedBy, asked: [] });
  });

  test.each<[string, Mode[]]>([
    ['open', ['open', 'open']],
    ['closed in the shadow', ['closed shadow']],
    ['open in the shadow', ['open shadow', 'open']],
  ])('is not decided under limits that are all %s', (_what, modes) => {
    expect(decide(...modes)).toEqual({ asked: [] });
    expect(decideByFailMode(chargesOf(modes), () => [], 0, DOWN)).toEqual([]);
  });
});
