import { contextOf, httpContext as http } from '../../../support/contexts.js';

describe('headers', () => {
  test('are found by a name in upper or lower case', () => {
    const context = http({ headers: { 'x-api-key': 'k1' } });
    expect([context.header('x-api-key'), context.header('X-Api-Key'), context.header('X-API-KEY')]).toEqual([
      'k1',
      'k1',
      'k1',
    ]);
  });

  test('with the same name are joined', () => {
    expect(http({ headers: { 'x-tenant': ['a', 'b'] } }).header('x-tenant')).toBe('a, b');
  });

  test('that are absent are undefined', () => {
    expect(http({ headers: {} }).header('x-tenant')).toBeUndefined();
    expect(http({}).header('x-tenant')).toBeUndefined();
    expect(contextOf('rpc', ['data', undefined]).header('x-tenant')).toBeUndefined();
  });
});

describe('ids of users', () => {
  class ObjectId {
    toString() {
      return '507f1f77bcf86cd799439011';
    }
  }
  class Silent {
    value = 1;
  }

  const ids: [string, unknown, string | null][] = [
    ['a text', 'alice', 'alice'],
    ['an empty text', '', null],
    ['a number', 42, '42'],
    ['zero', 0, '0'],
    ['a bigint', 9_007_199_254_740_993n, '9007199254740993'],
    ['an object that prints itself', new ObjectId(), '507f1f77bcf86cd799439011'],
    ['bytes', new Uint8Array([0x50, 0x7f, 0x01]), '507f01'],
    ['a buffer', Buffer.from('507f01', 'hex'), '507f01'],
    ['an object that does not print itself', { value: 1 }, null],
    ['an instance that does not print itself', new Silent(), null],
    ['an object without a prototype', Object.create(null), null],
    ['null', null, null],
    ['undefined', undefined, null],
    ['true', true, null],
    ['a function', () => 'alice', null],
  ];

  test.each(ids)('%s at user.id', (_what, id, text) => {
    expect(http({ user: { id } }).userId).toBe(text);
    expect(http({ user: { id } }).authenticated).toBe(true);
  });

  test.each(ids)("%s from the module's user function", (_what, id, text) => {
    const context = http({ user: { id: 'another' } }, () => id);
    expect(context.userId).toBe(text);
    expect(context.authenticated).toBe(text !== null);
  });

  test('id is preferred to sub, and sub to userId; invalid ones are skipped', () => {
    expect(http({ user: { userId: 'c', sub: 'b', id: 'a' } }).userId).toBe('a');
    expect(http({ user: { userId: 'c', sub: 'b', id: '' } }).userId).toBe('b');
    expect(http({ user: { userId: 'c', sub: null } }).userId).toBe('c');
    expect(http({ user: { email: 'alice@example.org' } }).userId).toBeNull();
  });

  test('the user may be its own id', () => {
    expect([http({ user: 'alice' }).userId, http({ user: 42 }).userId]).toEqual(['alice', '42']);
  });
});

describe('users', () => {
  test.each([undefined, null, false, '', 0])('%j is no user', (user) => {
    const context = http({ user });
    expect([context.user, context.userId, context.authenticated]).toEqual([undefined, null, false]);
  });

  test("the module's user function is called once for each phase", () => {
    const ids = [null, 'alice'];
    let calls = 0;
    const context = http({}, () => ids[calls++]);
    expect([context.authenticated, context.userId, context.userId]).toEqual([false, null, null]);
    expect(calls).toBe(1);
    const later = context.fork();
    expect([later.userId, later.authenticated, later.userId]).toEqual(['alice', true, 'alice']);
    expect([calls, context.userId]).toEqual([2, null]);
  });

  test('a user that is set later is found', () => {
    const request: { user?: object } = {};
    const context = http(request);
    expect(context.authenticated).toBe(false);
    request.user = { id: 'alice' };
    expect([context.authenticated, context.userId]).toEqual([true, 'alice']);
  });
});

describe('the context of a later phase', () => {
  test('keeps the address, which a closed connection no longer has', () => {
    const request: { ip: string | undefined } = { ip: '203.0.113.7' };
    const context = http(request);
    expect(context.address).toBe('203.0.113.7');
    request.ip = undefined;
    expect([context.fork().address, context.fork().fork().address]).toEqual(['203.0.113.7', '203.0.113.7']);
  });

  test('keeps an address of null, and finds one that was not read before', () => {
    const request: { ip?: string } = {};
    const asked = http(request);
    expect(asked.address).toBeNull();
    const notAsked = http(request);
    request.ip = '203.0.113.7';
    expect([asked.fork().address, notAsked.fork().address]).toEqual([null, '203.0.113.7']);
  });

  test('reads the user and the values of the request anew', () => {
    const request: { query: object; user?: object } = { query: { page: '1' } };
    const context = http(request);
    expect([context.user, context.value('query', 'page')]).toEqual([undefined, '1']);
    request.user = { id: 'alice' };
    request.query = { page: '2' };
    const later = context.fork();
    expect([later.userId, later.value('query', 'page')]).toEqual(['alice', '2']);
    expect([later.request, later.execution, later.transport]).toEqual([request, context.execution, 'http']);
  });
});

describe('requests of each transport', () => {
  const request = {
    headers: { 'x-tenant': 'acme' },
    ip: '203.0.113.7',
    user: { id: 'alice' },
  };

  test.each<[string, object]>([
    ['context.req', { req: request }],
    ['context.request', { request }],
    ['context.reply.request', { reply: { request } }],
    ['the context itself', request],
  ])('GraphQL: %s', (_where, context) => {
    const found = contextOf('graphql', [{}, {}, context, {}]);
    expect(found.request).toBe(request);
    expect([found.transport, found.userId, found.address, found.header('X-Tenant')]).toEqual([
      'graphql',
      'alice',
      '203.0.113.7',
      'acme',
    ]);
  });

  test('GraphQL without a context has no user', () => {
    const found = contextOf('graphql', [{}, {}, undefined, {}]);
    expect([found.user, found.address, found.header('x-tenant')]).toEqual([undefined, null, undefined]);
  });

  test('WebSockets: the user is socket.user, otherwise socket.data.user', () => {
    const ws = (socket: object) => contextOf('ws', [socket, 'data']);
    expect(ws({ user: { id: 'alice' } }).userId).toBe('alice');
    expect(ws({ data: { user: { id: 'bob' } } }).userId).toBe('bob');
    expect(ws({ user: { id: 'alice' }, data: { user: { id: 'bob' } } }).userId).toBe('alice');
    expect(ws({ data: {} }).authenticated).toBe(false);
    expect(ws({}).authenticated).toBe(false);
  });

  test('WebSockets: address and headers come from the handshake, otherwise the address from the connection', () => {
    const handshake = { headers: { 'x-tenant': 'acme' }, address: '::ffff:203.0.113.7' };
    const socketIo = contextOf('ws', [{ handshake }, 'data']);
    expect([socketIo.address, socketIo.header('X-Tenant')]).toEqual(['203.0.113.7', 'acme']);
    const plain = contextOf('ws', [{ _socket: { remoteAddress: '2001:db8::1' } }, 'data']);
    expect([plain.address, plain.header('x-tenant')]).toEqual(['2001:db8::/64', undefined]);
  });

  test('microservices: the context of the message is the request', () => {
    const context = {
      user: { id: 'alice' },
      getSocketRef: () => ({ socket: { remoteAddress: '203.0.113.7' } }),
    };
    const found = contextOf('rpc', ['data', context]);
    expect([found.request, found.userId, found.address]).toEqual([context, 'alice', '203.0.113.7']);
    expect(contextOf('rpc', ['data', {}]).address).toBeNull();
  });

  test('HTTP: if the address of the platform is invalid, that of the connection is used', () => {
    const socket = { remoteAddress: '::ffff:127.0.0.1' };
    expect(http({ ip: 'garbage', socket }).address).toBe('127.0.0.1');
    expect(http({ ip: '203.0.113.7', socket }).address).toBe('203.0.113.7');
    expect(http({}).address).toBeNull();
  });

  test("HTTP: a user on Node's request under Fastify's counts", () => {
    expect(http({ raw: { user: { id: 'alice' } } }).userId).toBe('alice');
  });
});
