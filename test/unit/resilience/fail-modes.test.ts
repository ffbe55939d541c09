import { type FailMode } from 'nestjs-ratelimit';
import { toOutcome } from '../../../lib/core/decision.js';
import { StoreUnavailableError } from '../../../lib/store/store.js';
import { Guarded } from '../../support/guarded.js';
import { DOWN } from '../../support/held-store.js';

/** `local`, or `local shadow` for a shadow limit; the name of the limit has its index as well. */
type Mode = FailMode | `${FailMode} shadow`;

const asked = (mode: Mode, at: number) => ({
  name: `${at} ${mode}`,
  failMode: mode.split(' ')[0] as FailMode,
  shadow: mode.endsWith('shadow'),
});

describe('A37 a request without its store', () => {
  test.each<[string, Mode[], string[]]>([
    ['local', ['local'], ['0 local']],
    ['several that are local, in their order', ['local', 'local'], ['0 local', '1 local']],
    ['local beside open, which is left out', ['open', 'local', 'open'], ['1 local']],
    ['a shadow limit that is local', ['local shadow'], ['0 local shadow']],
    ['a shadow limit that is closed beside a local one', ['closed shadow', 'local'], ['1 local']],
    ['a shadow limit that is open beside a local one', ['local', 'open shadow'], ['0 local']],
    ['open', ['open', 'open'], []],
    ['closed in the shadow', ['closed shadow'], []],
    ['open in the shadow', ['open shadow', 'open'], []],
  ])('is decided by the process under limits that are %s', async (_what, modes, names) => {
    const guarded = new Guarded({ manner: 'rejects' });
    const { decisions, degraded } = await guarded.consume(...modes.map(asked));
    expect(decisions.map(({ name }) => name)).toEqual(names);
    expect(toOutcome(decisions, degraded)).toMatchObject({ allowed: true, skipped: false, degraded: true });
  });

  test.each<[string, Mode[], string[]]>([
    ['one that is closed', ['closed'], ['0 closed']],
    ['one that is closed beside others', ['local', 'closed', 'open'], ['1 closed']],
    ['several that are closed', ['closed', 'local shadow', 'closed'], ['0 closed', '2 closed']],
  ])('is rejected for %s, and the others are charged nothing', async (_what, modes, limits) => {
    const guarded = new Guarded({ manner: 'rejects' });
    const limited = modes.map(asked);
    const error = await guarded.consume(...limited).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(StoreUnavailableError);
    expect(error).toMatchObject({ limits, cause: DOWN });
    for (const limit of limited.filter(({ failMode }) => failMode === 'local'))
      expect((await guarded.look(limit)).remaining).toBe(5);
  });
});
