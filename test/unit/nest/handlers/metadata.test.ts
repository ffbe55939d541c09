import { type CanActivate, Controller, UseGuards } from '@nestjs/common';
import { afterGuardsGuard } from '../../../../lib/nest/handlers/after-guards-guard.js';
import { messageGuard, registerMessageGuard } from '../../../../lib/nest/handlers/message-guard.js';
import { bindFirstGuard, bindLastGuard, boundGuards } from '../../../../lib/nest/handlers/metadata.js';
import * as tokens from '../../../../lib/nest/handlers/tokens.js';

/** Returns a module of a second copy of the library in the same process. */
const copyOf = async <Module>(path: string): Promise<Module> =>
  (await import(`../../../../lib/nest/handlers/${path}.js?copy`)) as Module;

class Theirs {
  canActivate() {
    return true;
  }
}

test('both copies of the library use the same tokens', async () => {
  expect(Object.keys(tokens)).toContain('REQUEST_CHECK');
  expect({ ...(await copyOf<typeof tokens>('tokens')) }).toEqual({ ...tokens });
});

describe('guards that the library binds itself', () => {
  test('the after-guards guard is bound last, once by both copies of the library', async () => {
    const other = await copyOf<{ afterGuardsGuard: typeof afterGuardsGuard }>('after-guards-guard');
    expect(other.afterGuardsGuard).not.toBe(afterGuardsGuard);
    class Shop {
      @UseGuards(Theirs) get() {}
    }
    const method = Shop.prototype.get;
    bindLastGuard(method, afterGuardsGuard);
    bindLastGuard(method, afterGuardsGuard);
    bindLastGuard(method, other.afterGuardsGuard);
    expect(boundGuards(method)).toEqual([Theirs, afterGuardsGuard]);
  });

  test('the message guard is bound first, once by both copies of the library', async () => {
    const other = await copyOf<{ messageGuard: typeof messageGuard }>('message-guard');
    expect(other.messageGuard).not.toBe(messageGuard);
    @Controller()
    @UseGuards(Theirs)
    class Shop {}
    bindFirstGuard(Shop, messageGuard);
    bindFirstGuard(Shop, messageGuard);
    bindFirstGuard(Shop, other.messageGuard);
    expect(boundGuards(Shop)).toEqual([messageGuard, Theirs]);
  });

  test('a subclass has separate guards, and the message guard is bound before them', () => {
    @UseGuards(Theirs)
    class Base {}
    class Shop extends Base {}
    bindFirstGuard(Shop, messageGuard);
    expect(boundGuards(Shop)).toEqual([messageGuard, Theirs]);
    expect(boundGuards(Base)).toEqual([Theirs]);
  });

  test('a message guard of the other copy finds the guard of this one', async () => {
    const other = await copyOf<{ messageGuard: typeof messageGuard }>('message-guard');
    class Gateway {}
    bindFirstGuard(Gateway, other.messageGuard);
    bindFirstGuard(Gateway, messageGuard);
    let calls = 0;
    const guard: CanActivate = { canActivate: () => ++calls > 0 };
    const leave = registerMessageGuard(new Set([Gateway]), guard);
    const callAll = () => {
      for (const bound of boundGuards(Gateway) as CanActivate[]) {
        expect(bound.canActivate({ getClass: () => Gateway } as never)).toBe(true);
      }
    };
    callAll();
    leave();
    callAll();
    expect(calls).toBe(1);
  });

  test('a check that the other copy has started is finished by this one', async () => {
    const { afterGuardsGuard: others } = await copyOf<{ afterGuardsGuard: typeof afterGuardsGuard }>(
      'after-guards-guard',
    );
    const { REQUEST_CHECK } =
      await copyOf<typeof import('../../../../lib/nest/handlers/tokens.js')>('tokens');
    let finished = 0;
    const execution = { [REQUEST_CHECK]: { finish: () => ++finished === 1 } } as never;
    expect([afterGuardsGuard.canActivate(execution), others.canActivate(execution)]).toEqual([true, true]);
    expect(finished).toBe(1);
  });
});
