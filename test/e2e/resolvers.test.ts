import { Inject, Injectable, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import {
  type KeyResolver,
  RateLimit,
  type RateLimitContext,
  type RateResolver,
  ThrottleScope,
} from 'nestjs-ratelimit';
import { configErrorOf, moduleOf, platforms, routes, starter, statuses, times } from '../support/app.js';

@Injectable()
class Contracts {
  asked = 0;
  async of(key: string | undefined) {
    this.asked++;
    if (key === 'broken') throw new Error('no contracts');
    return key === 'demo' || key === 'demo-2' ? { customer: 'acme', rate: '3/min' as const } : undefined;
  }
}

@Injectable()
class CustomerKey implements KeyResolver<RateLimitContext> {
  constructor(@Inject(Contracts) readonly contracts: Contracts) {}
  async resolveKey({ header }: RateLimitContext) {
    const key = header('x-api-key');
    return key === 'free' ? null : (await this.contracts.of(key))?.customer;
  }
}

@Injectable()
class CustomerRate implements RateResolver<RateLimitContext> {
  constructor(@Inject(Contracts) readonly contracts: Contracts) {}
  async resolveRate({ header }: RateLimitContext) {
    return (await this.contracts.of(header('x-api-key')))?.rate ?? ('1/min' as const);
  }
}

@Injectable()
class UserRate implements RateResolver<RateLimitContext> {
  resolveRate({ user }: RateLimitContext) {
    if (user?.tier === 'enterprise') return null;
    return user?.tier === 'pro' ? ('5/min' as const) : ('2/min' as const);
  }
}

@Injectable({ scope: Scope.REQUEST })
class Tenant {
  static made = 0;
  readonly id: string | undefined;
  constructor(@Inject(REQUEST) request: { headers: Record<string, string | undefined> }) {
    Tenant.made++;
    this.id = request.headers['x-tenant'];
  }
}

@Injectable()
class TenantKey implements KeyResolver<RateLimitContext> {
  constructor(@Inject(Tenant) readonly tenant: Tenant) {}
  resolveKey() {
    return this.tenant.id;
  }
}

@Injectable()
class TenantRate implements RateResolver<RateLimitContext> {
  constructor(@Inject(Tenant) readonly tenant: Tenant) {}
  resolveRate() {
    return this.tenant.id === 'big' ? ('3/min' as const) : ('1/min' as const);
  }
}

abstract class Keys implements KeyResolver<RateLimitContext> {
  abstract resolveKey(context: RateLimitContext): string | undefined;
}

class HostKeys extends Keys {
  resolveKey({ header }: RateLimitContext) {
    return header('x-host');
  }
}

@Injectable()
class ArrowKey {
  readonly resolveKey = ({ header }: RateLimitContext) => header('x-host');
}

const Resolved = routes({
  '/customer': RateLimit({ rate: CustomerRate, key: CustomerKey }),
  '/user': RateLimit({ rate: UserRate, key: 'user' }),
  '/tenant': RateLimit({ rate: TenantRate, key: TenantKey }),
  '/abstract': RateLimit({ rate: '1/min', key: Keys }),
  '/arrow': RateLimit({ rate: '1/min', key: ArrowKey }),
});

const services = moduleOf({ providers: [Contracts], exports: [Contracts] }, 'ContractsModule');
const providers = [
  CustomerKey,
  CustomerRate,
  UserRate,
  Tenant,
  TenantKey,
  TenantRate,
  ArrowKey,
  { provide: Keys, useClass: HostKeys },
];

const RESOLVED = { imports: [services], controllers: [Resolved], providers };
const keyed = (key: string) => ({ headers: { 'x-api-key': key } });

describe.each(platforms)('resolvers on %s', (platform) => {
  const start = starter(platform, RESOLVED);

  test('a request-scoped resolver sees its own request', async () => {
    const app = await start();
    const of = (tenant: string) => ({ headers: { 'x-tenant': tenant } });
    const before = Tenant.made;
    expect(await statuses(app, 4, '/tenant', of('big'))).toEqual([200, 200, 200, 429]);
    expect(await statuses(app, 2, '/tenant', of('small'))).toEqual([200, 429]);
    expect((await app.get('/tenant', of('other'))).status).toBe(200);
    expect(await statuses(app, 2, '/tenant')).toEqual([200, 429]);
    expect(Tenant.made - before).toBeGreaterThanOrEqual(9);
    const together = await Promise.all(
      Array.from({ length: 20 }, (_, i) => app.get('/tenant', of(i % 2 === 0 ? 'even' : 'odd'))),
    );
    expect(together.filter(({ status }) => status === 200)).toHaveLength(2);
  });
});

describe('resolvers', () => {
  const start = starter('express', RESOLVED);

  test('a key and a rate come from classes with providers of another module', async () => {
    const app = await start();
    expect(await statuses(app, 3, '/customer', keyed('demo'))).toEqual(times(3, 200));
    expect((await app.get('/customer', keyed('demo-2'))).status).toBe(429);
    expect(await statuses(app, 2, '/customer', keyed('unknown'))).toEqual([200, 429]);
    expect((await app.get('/customer')).status).toBe(429);
    expect((await app.get('/customer', { from: '203.0.113.7' })).status).toBe(200);
    expect(await statuses(app, 3, '/customer', keyed('free'))).toEqual(times(3, 200));
    expect(app.app.get(Contracts, { strict: false }).asked).toBeGreaterThan(0);
  });

  test('A6 A7 a class returns a rate for each tier, and null for no limit', async () => {
    const app = await start();
    expect(await statuses(app, 3, '/user', { as: 'alice' })).toEqual([200, 200, 429]);
    expect(await statuses(app, 6, '/user', { as: 'bob' })).toEqual([...times(5, 200), 429]);
    expect(await statuses(app, 9, '/user', { as: 'dave' })).toEqual(times(9, 200));
  });

  test('an abstract class can be the token of its provider, and the method can be a property', async () => {
    const app = await start();
    for (const path of ['/abstract', '/arrow']) {
      const of = (host: string) => ({ headers: { 'x-host': host } });
      expect(await statuses(app, 2, path, of('a'))).toEqual([200, 429]);
      expect((await app.get(path, of('b'))).status).toBe(200);
    }
    expect(app.logged).toEqual([]);
  });

  test('if a resolver fails, a rate causes a 503 and a key charges the address; both are logged', async () => {
    const app = await start({
      routes: {
        '/rate': RateLimit({ rate: CustomerRate }),
        '/key': RateLimit({ rate: '1/min', key: CustomerKey }),
      },
    });
    expect(await statuses(app, 2, '/rate', keyed('broken'))).toEqual([503, 503]);
    expect(await statuses(app, 2, '/key', keyed('broken'))).toEqual([200, 429]);
    expect((await app.get('/key')).status).toBe(429);
    expect(app.logged).toEqual([
      expect.stringMatching(/Shop\.rate: The rate function returned no rate.*no contracts/),
      expect.stringMatching(/Shop\.key: The key function failed.*no contracts/),
    ]);
  });

  test('a class that is not a provider is an error at start-up for every limit that uses it', async () => {
    class Nobody implements RateResolver<RateLimitContext>, KeyResolver<RateLimitContext> {
      resolveRate() {
        return '1/min' as const;
      }
      resolveKey() {
        return 'nobody';
      }
    }

    const error = await configErrorOf(
      start({
        routes: {
          '/a': RateLimit({ rate: Nobody }),
          '/b': ThrottleScope('mine'),
          '/c': RateLimit({ rate: '1/min', key: TenantKey }),
        },
        providers: [],
        options: { scopes: { mine: { rate: '1/min', key: Nobody } } },
      }),
    );
    const { problems } = error;
    expect(problems.map(({ code, source, message }) => `${code} ${source} ${message}`).sort()).toEqual([
      'unknown-resolver Shop.a Nest has no provider Nobody.',
      'unknown-resolver Shop.c Nest has no provider TenantKey.',
      'unknown-resolver scopes.mine Nest has no provider Nobody.',
    ]);
    expect(problems[0]?.fix).toMatch(/^Add \w+ to the providers of a module\.$/);
  });
});
