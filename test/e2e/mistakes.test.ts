import { Controller, Get, Injectable, Post } from '@nestjs/common';
import {
  type Problem,
  RateLimit,
  RateLimitConfigError,
  type RateLimitModuleOptions,
  SkipRateLimit,
  ThrottleScope,
} from 'nestjs-ratelimit';
import { serve } from '../support/app.js';

/** What start-up says of an application: its mistakes, or its warnings when it has none. */
async function problemsOf(
  controllers: (new () => object)[],
  options: RateLimitModuleOptions = {},
): Promise<{ problems: readonly Problem[]; message: string; warnings: readonly string[] }> {
  try {
    const app = await serve('fastify', { controllers, options });
    await app.close();
    return { problems: [], message: '', warnings: app.logged };
  } catch (error) {
    if (!(error instanceof RateLimitConfigError)) throw error;
    return { problems: error.problems, message: error.message, warnings: [] };
  }
}

const codes = (problems: readonly Problem[]) => problems.map(({ code, place }) => `${code} ${place}`);

describe('mistakes at start-up', () => {
  test('one error lists all of them, each with its code, its place and the mend', async () => {
    @Controller('auth')
    @SkipRateLimit('brust')
    class AuthController {
      @Post('login') @ThrottleScope('logn') login() {}
      @Post('register') @RateLimit('10/month' as '10/min') register() {}
      @Get('report') @RateLimit({ rate: '10/min', key: 'usr' as 'user' }) report() {}
      @Get('search') @RateLimit({ rate: '10/min', cost: -1 }) search() {}
      @Get('twins')
      @RateLimit({ name: 'twin', rate: '10/min' })
      @RateLimit({ name: 'twin', rate: '20/min' })
      twins() {}
      @Get('tiers') @RateLimit({ rate: { free: '1/min' } as never, key: 'user' }) tiers() {}
      @Get('bucket') @RateLimit({ rate: '10/min', algorithm: 'token-bucket', burst: 5, cost: 6 }) bucket() {}
      @Get('burst') @RateLimit({ rate: '10/min', burst: 5 }) burst() {}
      @Get('block') @RateLimit({ rate: '10/min', block: '0min' }) block() {}
      @Get('name') @RateLimit({ name: 'größe', rate: '10/min' }) name() {}
      @Get('algorithm') @RateLimit({ rate: '10/min', algorithm: 'leaky' as 'fixed-window' }) algorithm() {}
      @Get('huge') @RateLimit({ rate: '999999999999/day', algorithm: 'token-bucket' }) huge() {}
      @Get('option') @RateLimit({ rate: '10/min', costs: 3 } as never) option() {}
    }
    const { problems, message } = await problemsOf([AuthController], {
      scopes: { login: '5/15min', 'b ad': '1/min', wrong: 'many' as '1/s' },
      limits: [
        { name: 'burst', rate: '60/min' },
        { name: 'burst', rate: '70/min' },
        { name: 'zero', rate: '5/0s' },
      ],
      ipv6Prefix: 0,
      headers: { retryAfter: 'Retry After' },
      tier: (context) => context.user?.tier,
    });
    expect(codes(problems)).toEqual([
      'bad-option RateLimitModule',
      'bad-header-name headers',
      'bad-scope-name scopes.b ad',
      'bad-rate scopes.wrong',
      'bad-rate limits[2]',
      'duplicate-name limits',
      'unknown-skip AuthController',
      'unknown-scope AuthController.login',
      'bad-rate AuthController.register',
      'bad-key AuthController.report',
      'bad-cost AuthController.search',
      'duplicate-name AuthController.twins',
      'bad-tiers AuthController.tiers',
      'bad-burst AuthController.bucket',
      'bad-burst AuthController.burst',
      'bad-duration AuthController.block',
      'bad-name AuthController.name',
      'bad-policy AuthController.algorithm',
      'bad-policy AuthController.huge',
      'bad-option AuthController.option',
    ]);
    expect(message).toMatch(/^20 mistakes in the rate limits:\n/);
    for (const { code, mend } of problems) {
      expect(message).toContain(`[${code}] `);
      expect(message).toContain(mend);
    }
  });

  test('tiers need a tier function', async () => {
    @Controller()
    class Tiers {
      @Get() @RateLimit({ rate: { free: '1/min', default: '1/min' }, key: 'user' }) get() {}
    }
    const { problems } = await problemsOf([Tiers]);
    expect(problems).toEqual([
      expect.objectContaining({ code: 'bad-tiers', mend: expect.stringContaining('tier: (context) =>') }),
    ]);
  });

  test.each(['', 'usr', 'ip|', '+ip', 'header:', 'header:a b', 'ip:1', 'user+', 'IP', 'cookie'])(
    'the key %j is a mistake',
    async (key) => {
      const { problems } = await problemsOf([], { key: key as 'ip' });
      expect(codes(problems)).toEqual(['bad-key key']);
    },
  );

  test('an unknown option of the module is a mistake', async () => {
    const { message } = await problemsOf([], { limit: [] } as RateLimitModuleOptions);
    expect(message).toBe(
      '[bad-option] RateLimitModule: There is no option "limit" here. The options are store, scopes, limits, key, algorithm, tier, user, exempt, enabled, headers, body, secret, ipv6Prefix.',
    );
  });

  test('@SkipRateLimit of a name that no outer limit has is a mistake, also for a limit of its own', async () => {
    @Controller()
    class Skips {
      @Get() @SkipRateLimit('own') @RateLimit({ name: 'own', rate: '1/min' }) get() {}
    }
    const { problems } = await problemsOf([Skips], { limits: [{ name: 'burst', rate: '60/min' }] });
    expect(codes(problems)).toEqual(['unknown-skip Skips.get']);
    expect(problems[0]?.mend).toContain('Use one of: burst');
  });

  test('a mistake is found also when nothing is switched on', async () => {
    const { problems } = await problemsOf([], { enabled: false, scopes: { login: 'x' as '1/s' } });
    expect(codes(problems)).toEqual(['bad-rate scopes.login']);
  });
});

describe('warnings at start-up', () => {
  test('a static limit that can never bind', async () => {
    @Controller()
    class Redundant {
      @Get('a') @RateLimit({ name: 'wide', rate: '100/min' }) a() {}
      @Get('b') @RateLimit({ name: 'dear', rate: '100/hour', cost: 2 }) b() {}
      @Get('c') @RateLimit({ name: 'short', rate: '50/s' }) c() {}
      @Get('d') @RateLimit({ name: 'other-key', rate: '100/min', key: 'global' }) d() {}
      @Get('e') @RateLimit({ name: 'bucket', rate: '100/min', algorithm: 'token-bucket' }) e() {}
    }
    const { warnings } = await problemsOf([Redundant], { limits: [{ name: 'burst', rate: '60/min' }] });
    expect(warnings).toEqual([
      'The limit "wide" of Redundant.a can never bind, since "burst" of limits[0] always denies first. Remove one of them.',
    ]);
  });

  test('of two limits that are the same, one', async () => {
    @Controller()
    class Same {
      @Get()
      @RateLimit({ name: 'first', rate: '10/min' })
      @RateLimit({ name: 'second', rate: '10/min' })
      get() {}
    }
    expect((await problemsOf([Same])).warnings).toHaveLength(1);
  });

  test('a limit on a method that Nest never calls for a request', async () => {
    @Injectable()
    class Service {
      @RateLimit('1/min') work() {}
    }
    const app = await serve('express', { providers: [Service] });
    await app.close();
    expect(app.logged).toEqual([
      expect.stringContaining('Service.work has limits, but Nest calls it for no request'),
    ]);
  });

  test('nothing, where there is nothing to say', async () => {
    @Controller()
    class Fine {
      @Get() @RateLimit('10/min') get() {}
    }
    const { problems, warnings } = await problemsOf([Fine], {
      limits: [
        { name: 'anon', rate: '100/hour', key: 'anon' },
        { name: 'user', rate: '1000/hour', key: 'user' },
        { name: 'burst', rate: '60/min', key: 'user|ip' },
      ],
    });
    expect([problems, warnings]).toEqual([[], []]);
  });
});
