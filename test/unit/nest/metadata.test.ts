import { type CanActivate, Controller, UseGuards } from '@nestjs/common';
import { enter, entryGuard } from '../../../lib/nest/entry-guard.js';
import { finishingGuard } from '../../../lib/nest/finishing-guard.js';
import { bindFirstGuard, bindLastGuard, guardsOn } from '../../../lib/nest/metadata.js';
import * as tokens from '../../../lib/nest/tokens.js';

/** What a second copy of the library in the same process has of a module. */
const copyOf = async <Module>(path: string): Promise<Module> =>
  (await import(`../../../lib/nest/${path}.js?copy`)) as Module;

class Theirs {
  canActivate() {
    return true;
  }
}

test('what both copies of the library write something under is the same to both', async () => {
  expect(Object.keys(tokens)).toContain('CALL');
  expect({ ...(await copyOf<typeof tokens>('tokens')) }).toEqual({ ...tokens });
});

describe('guards that the library binds itself', () => {
  test('the finishing guard is bound behind all others, once by both copies of the library', async () => {
    const other = await copyOf<{ finishingGuard: typeof finishingGuard }>('finishing-guard');
    expect(other.finishingGuard).not.toBe(finishingGuard);
    class Shop {
      @UseGuards(Theirs) get() {}
    }
    const method = Shop.prototype.get;
    bindLastGuard(method, finishingGuard);
    bindLastGuard(method, finishingGuard);
    bindLastGuard(method, other.finishingGuard);
    expect(guardsOn(method)).toEqual([Theirs, finishingGuard]);
  });

  test('the entry guard is bound ahead of all others, once by both copies of the library', async () => {
    const other = await copyOf<{ entryGuard: typeof entryGuard }>('entry-guard');
    expect(other.entryGuard).not.toBe(entryGuard);
    @Controller()
    @UseGuards(Theirs)
    class Shop {}
    bindFirstGuard(Shop, entryGuard);
    bindFirstGuard(Shop, entryGuard);
    bindFirstGuard(Shop, other.entryGuard);
    expect(guardsOn(Shop)).toEqual([entryGuard, Theirs]);
  });

  test('a subclass has guards of its own, ahead of which the entry guard is bound as well', () => {
    @UseGuards(Theirs)
    class Base {}
    class Shop extends Base {}
    bindFirstGuard(Shop, entryGuard);
    expect(guardsOn(Shop)).toEqual([entryGuard, Theirs]);
    expect(guardsOn(Base)).toEqual([Theirs]);
  });

  test('an entry guard that the other copy has bound finds the guard of this one', async () => {
    const other = await copyOf<{ entryGuard: typeof entryGuard }>('entry-guard');
    class Gateway {}
    bindFirstGuard(Gateway, other.entryGuard);
    bindFirstGuard(Gateway, entryGuard);
    let asked = 0;
    const guard: CanActivate = { canActivate: () => ++asked > 0 };
    const leave = enter(new Set([Gateway]), guard);
    const ask = () => {
      for (const bound of guardsOn(Gateway) as CanActivate[]) {
        expect(bound.canActivate({ getClass: () => Gateway } as never)).toBe(true);
      }
    };
    ask();
    leave();
    ask();
    expect(asked).toBe(1);
  });

  test('what the other copy has left open is finished by this one', async () => {
    const { finishingGuard: others } = await copyOf<{ finishingGuard: typeof finishingGuard }>(
      'finishing-guard',
    );
    const { CALL } = await copyOf<typeof import('../../../lib/nest/tokens.js')>('tokens');
    let finished = 0;
    const execution = { [CALL]: { finish: () => ++finished === 1 } } as never;
    expect([finishingGuard.canActivate(execution), others.canActivate(execution)]).toEqual([true, true]);
    expect(finished).toBe(1);
  });
});
