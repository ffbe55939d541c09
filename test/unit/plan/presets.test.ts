import { RateLimitConfigError } from '../../../lib/core/errors.js';
import { RateLimiter } from '../../../lib/limiter/rate-limiter.js';
import { presets } from '../../../lib/plan/presets.js';

const names = ['login', 'register', 'publicApi', 'expensive'] as const;

describe('presets', () => {
  test('each is a plain object with one scope of the same name', () => {
    expect(Object.keys(presets)).toEqual([...names]);
    for (const name of names) {
      expect(Object.keys(presets[name])).toEqual([name]);
      expect(JSON.parse(JSON.stringify(presets[name]))).toEqual(presets[name]);
    }
  });

  test('all can be spread into scopes, and their limits have different names', async () => {
    const { login, register, publicApi, expensive } = presets;
    const limiter = new RateLimiter({
      scopes: { ...login, ...register, ...publicApi, ...expensive, own: '1/min' },
    });
    const statuses = await limiter.status({ identity: 'user:42' });
    expect(statuses.map(({ scope, name, limit }) => `${scope} ${name} ${limit}`)).toEqual([
      'login login 5',
      'login login-address 20',
      'login login-account 100',
      'register register 3',
      'register register-day 10',
      'publicApi api 60',
      'publicApi api-hour 1000',
      'expensive expensive 10',
      'expensive expensive-all 100',
      'own own 1',
    ]);
  });

  test('a preset can be changed and extended', async () => {
    const [first] = presets.login.login;
    const limiter = new RateLimiter({ scopes: { login: [{ ...first, rate: '1/min' }, '2/day'] } });
    const { decisions } = await limiter.consume({ scope: 'login', identity: 'user:42' });
    expect(decisions.map(({ name, limit }) => [name, limit])).toEqual([
      ['login', 1],
      ['login-1', 2],
    ]);
    const broken = () => new RateLimiter({ scopes: { login: [...presets.login.login, first] } });
    expect(broken).toThrow(RateLimitConfigError);
  });
});
