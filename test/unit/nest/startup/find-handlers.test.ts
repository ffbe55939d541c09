import type { CanActivate, Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { RateLimitGuard } from '../../../../lib/nest/request/guard.js';
import { guardOverrides } from '../../../../lib/nest/startup/find-handlers.js';

/** The modules of an application, as far as guards are found in them. */
const modulesWith = (...guards: Type<CanActivate>[]): ModulesContainer => {
  const module = {
    providers: new Map(guards.slice(0, 1).map((metatype) => [metatype, { metatype }])),
    injectables: new Map(guards.slice(1).map((metatype) => [metatype, { metatype }])),
  };
  return new Map([['ShopModule', module]]) as unknown as ModulesContainer;
};

class Exempting extends RateLimitGuard {
  protected override shouldSkip() {
    return true;
  }
}
class Identifying extends RateLimitGuard {
  protected override identity() {
    return 'tenant:acme';
  }
}
class Denying extends RateLimitGuard {
  protected override deny(): never {
    throw new Error('denied');
  }
}
class Theirs implements CanActivate {
  canActivate() {
    return true;
  }
  shouldSkip() {
    return true;
  }
}

describe('guardOverrides', () => {
  test.each<[string, Type<CanActivate>[], boolean, boolean]>([
    ['none', [], false, false],
    ['the guard itself', [RateLimitGuard], false, false],
    ['a subclass that denies in its own way', [Denying], false, false],
    ['one that exempts callers', [RateLimitGuard, Exempting], true, false],
    ['one that identifies callers', [Identifying], false, true],
    ['a subclass of one', [class extends Identifying {}], false, true],
    ['one of each', [Exempting, Identifying], true, true],
    ['a guard of another kind', [Theirs], false, false],
  ])('%s', (_what, guards, exempts, identifies) => {
    expect(guardOverrides(modulesWith(...guards))).toEqual({ exempts, identifies });
  });

  test.each<[string, object, boolean, boolean]>([
    ['whose factory has run', { instance: new Identifying() }, false, true],
    ['whose factory made one that exempts callers', { instance: new Exempting() }, true, false],
    ['whose factory made a guard of another kind', { instance: new Theirs() }, false, false],
    ['whose factory has not run', { instance: undefined }, true, false],
    ['that is another provider', { instance: undefined, isAlias: true }, false, false],
  ])('a global guard %s', (_what, state, exempts, identifies) => {
    const wrapper = { token: 'APP_GUARD (UUID: 1)', metatype: () => undefined, inject: [], ...state };
    const modules = new Map([
      ['ShopModule', { providers: new Map([['guard', wrapper]]), injectables: new Map() }],
    ]);
    expect(guardOverrides(modules as unknown as ModulesContainer)).toEqual({ exempts, identifies });
  });

  test('another provider whose factory has not run overrides nothing', () => {
    const wrapper = { token: 'DATABASE', metatype: () => undefined, inject: [], instance: undefined };
    const modules = new Map([
      ['ShopModule', { providers: new Map([['database', wrapper]]), injectables: new Map() }],
    ]);
    expect(guardOverrides(modules as unknown as ModulesContainer)).toEqual({
      exempts: false,
      identifies: false,
    });
  });

  test('the guard of another copy of the library overrides nothing', async () => {
    const copy = (await import(`../../../../lib/nest/request/guard.js?${'copy'}`)) as {
      readonly RateLimitGuard: typeof RateLimitGuard;
    };
    expect(copy.RateLimitGuard).not.toBe(RateLimitGuard);
    class TheirExempting extends copy.RateLimitGuard {
      protected override shouldSkip() {
        return true;
      }
    }
    const overridesOf = (guard: Type<CanActivate>) => guardOverrides(modulesWith(RateLimitGuard, guard));
    expect(overridesOf(copy.RateLimitGuard)).toEqual({ exempts: false, identifies: false });
    expect(overridesOf(TheirExempting)).toEqual({ exempts: true, identifies: false });
  });
});
