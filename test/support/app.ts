import { Agent, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  CanActivate,
  DynamicModule,
  ExecutionContext,
  INestApplication,
  ModuleMetadata,
  Type,
} from '@nestjs/common';
import { All, Controller, Delete, Get, Logger, Module, Post, Put } from '@nestjs/common';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import type { FastifyAdapter } from '@nestjs/platform-fastify';
import {
  MemoryStore,
  RateLimitConfigError,
  RateLimitModule,
  type RateLimitModuleOptions,
  systemClock,
} from 'nestjs-ratelimit';
import { TestClock } from 'nestjs-ratelimit/testing';

export type Platform = 'express' | 'fastify';
export const platforms: readonly Platform[] = ['express', 'fastify'];

/** Users of the tests by their bearer token. */
export const users: Readonly<Record<string, object>> = {
  alice: { id: 'alice', tier: 'free' },
  bob: { id: 'bob', tier: 'pro' },
  carol: { id: 'carol', tier: 'platinum' },
  dave: { id: 'dave', tier: 'enterprise' },
  staff: { id: 'staff', isStaff: true },
  nameless: { email: 'nobody@example.org' },
  tagged: { id: 'bob+tag@example.org' },
  encoded: { id: 'bob%2Btag@example.org' },
  long: { id: 'x'.repeat(65) },
};

interface WithUser {
  headers: Record<string, string | undefined>;
  user?: object;
}

/** Puts the user of the bearer token on a request, as authentication does. */
export function authenticate(request: WithUser): void {
  const token = request.headers.authorization?.replace('Bearer ', '');
  if (token !== undefined && users[token] !== undefined) request.user = users[token];
}

/** Authentication as a guard. If it is `strict`, it rejects callers without a known token. */
export class AuthGuard implements CanActivate {
  constructor(readonly strict = false) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<WithUser>();
    authenticate(request);
    return !this.strict || request.user !== undefined;
  }
}

export interface TestApp {
  readonly app: INestApplication;
  readonly url: string;
  readonly clock: TestClock;
  readonly store: MemoryStore;
  /** The lines that Nest and the library logged at warn and error. */
  readonly logged: string[];
  /** Those of them that were logged at warn. */
  readonly warned: string[];
  /** The entries of the denial log. */
  readonly denials: readonly object[];
  /** One request, by default a GET from 127.0.0.1. */
  get(path: string, options?: Call): Promise<Answer>;
  close(): Promise<void>;
}

export interface Call {
  readonly method?: string;
  /** The bearer token of a test user. */
  readonly as?: string;
  /** The client's address, as the trusted proxy on loopback reports it. */
  readonly from?: string;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: a response may be any JSON
  readonly json: any;
}

/** The decorators of routes by method and path: `{ '/free': [], 'POST /login': RateLimit('2/min') }`. */
export type Handlers = Readonly<Record<string, MethodDecorator | readonly MethodDecorator[]>>;

export interface AppOptions extends ModuleMetadata {
  readonly options?: RateLimitModuleOptions;
  /** Routes of a controller, in place of `controllers`. */
  readonly routes?: Handlers;
  /** Decorators of the class of `routes`. */
  readonly decorators?: readonly ClassDecorator[];
  /** In place of `RateLimitModule.forRoot(options)`. */
  readonly root?: (store: MemoryStore) => DynamicModule;
  readonly prepare?: (app: INestApplication) => void;
  /** True sets users in a middleware. Default true. */
  readonly middleware?: boolean;
  readonly store?: MemoryStore;
  readonly clock?: TestClock;
  /** In place of Fastify's usual one. */
  readonly adapter?: FastifyAdapter;
}

class ListeningLogger {
  readonly lines: string[] = [];
  readonly warnings: string[] = [];
  /** The lines logged as objects: denials. */
  readonly denials: object[] = [];
  log(): void {}
  error(message: unknown): void {
    this.lines.push(String(message instanceof Error ? message.stack : message));
  }
  warn(message: unknown): void {
    if (typeof message === 'object' && message !== null) {
      this.denials.push(message);
      return;
    }
    this.lines.push(String(message));
    this.warnings.push(String(message));
  }
}

/** A response received by Node's client. Parses only what a test reads. */
class Received implements Answer {
  #headers: Headers | undefined;

  constructor(
    readonly response: IncomingMessage,
    readonly text: string,
  ) {}

  get status(): number {
    return this.response.statusCode ?? 0;
  }

  get headers(): Headers {
    if (this.#headers === undefined) {
      this.#headers = new Headers();
      const { rawHeaders } = this.response;
      for (let at = 0; at < rawHeaders.length; at += 2)
        this.#headers.append(rawHeaders[at] as string, rawHeaders[at + 1] as string);
    }
    return this.#headers;
  }

  get json(): unknown {
    try {
      return JSON.parse(this.text);
    } catch {
      return undefined;
    }
  }
}

/** Uses Node's client: `fetch` needs twice the CPU time, and the suites send thousands of requests. */
function call(
  url: string,
  agent: Agent,
  { method = 'GET', as, from, headers = {}, body }: Call,
): Promise<Answer> {
  const given = {
    ...(as === undefined ? {} : { authorization: `Bearer ${as}` }),
    ...(from === undefined ? {} : { 'x-forwarded-for': from }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...headers,
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, agent, headers: given }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.once('error', reject).once('end', () => resolve(new Received(response, text)));
    });
    request.once('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Returns a module class with the given metadata. */
export function moduleOf(metadata: ModuleMetadata, name = 'AppModule'): Type {
  const { [name]: type } = { [name]: class {} };
  Module(metadata)(type as Type);
  return type as Type;
}

/** Applications that a failing test has left open: Jest would wait for them forever. */
const open = new Set<INestApplication>();
afterAll(async () => {
  for (const app of open) await app.close();
});

/** An adapter that trusts the proxy on loopback. A suite on one platform does not load the other. */
async function adapterOf(platform: Platform): Promise<AbstractHttpAdapter> {
  if (platform === 'express') {
    const { ExpressAdapter } = await import('@nestjs/platform-express');
    const adapter = new ExpressAdapter();
    adapter.set('trust proxy', 'loopback');
    return adapter;
  }
  const { FastifyAdapter } = await import('@nestjs/platform-fastify');
  return new FastifyAdapter({ trustProxy: 'loopback' });
}

/** Serves an application over a real socket on one of the platforms, with a clock that the test controls. */
export async function serve(
  platform: Platform,
  { options, root, prepare, middleware = true, routes: handlers, decorators, ...given }: AppOptions,
): Promise<TestApp> {
  const clock = given.clock ?? new TestClock(Date.now());
  const store = given.store ?? new MemoryStore({ clock });
  const { imports = [], store: _store, clock: _clock, adapter: _adapter, ...metadata } = given;
  const limits = root === undefined ? RateLimitModule.forRoot({ store, ...options }) : root(store);
  if (handlers !== undefined) metadata.controllers = [routes(handlers, { decorators })];
  const type = moduleOf({ ...metadata, imports: [limits, ...imports] });
  const logger = new ListeningLogger();
  const adapter = given.adapter ?? (await adapterOf(platform));
  const app = await NestFactory.create(type, adapter, { logger, abortOnError: false });
  if (middleware)
    app.use((request: WithUser, _response: unknown, next: () => void) => {
      authenticate(request);
      next();
    });
  open.add(app);
  prepare?.(app);
  await app.listen(0, '127.0.0.1');
  // Otherwise a server may close an idle connection just when a client on a busy machine sends a request.
  (app.getHttpServer() as Server).keepAliveTimeout = 0;
  const url = (await app.getUrl()).replace('[::1]', '127.0.0.1');
  const agent = new Agent({ keepAlive: true });
  return {
    app,
    url,
    clock,
    store,
    logged: logger.lines,
    warned: logger.warnings,
    denials: logger.denials,
    get: (path, options = {}) => call(url + path, agent, options),
    async close() {
      open.delete(app);
      await app.close();
      agent.destroy();
      Logger.overrideLogger(['log', 'error', 'warn']);
    },
  };
}

/** Starts applications on a platform, with default options that a test may override, until the test ends. */
export function starter(
  platform: Platform,
  usual: AppOptions = {},
): (options?: AppOptions) => Promise<TestApp> {
  const apps: TestApp[] = [];
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
  });
  return async (options = {}) => {
    const app = await serve(platform, { ...usual, ...options });
    apps.push(app);
    return app;
  };
}

const HOUR_MS = 3_600_000;
/** Longer than any test that counts requests. */
const LONG_MS = 10_000;

/** Waits for the next hour if this one is about to end, so that all counts of a test fall into one hour. */
export async function inOneHour(): Promise<void> {
  const leftMs = HOUR_MS - (systemClock.now() % HOUR_MS);
  if (leftMs < LONG_MS) await sleep(leftMs);
}

/** Returns the statuses of `count` sequential requests. */
export async function statuses(
  app: TestApp,
  count: number,
  path: string,
  options: Call = {},
): Promise<number[]> {
  const seen: number[] = [];
  for (let i = 0; i < count; i++) seen.push((await app.get(path, options)).status);
  return seen;
}

/** Returns a list of `count` times `status`. */
export const times = (count: number, status: number): number[] => Array.from({ length: count }, () => status);

const VERBS = { GET: Get, POST: Post, PUT: Put, DELETE: Delete, ALL: All };

/** The name of the handler of a path: its last word, or the method if it has none. */
function handlerName(method: string, path: string): string {
  const word = path.split('/').findLast((part) => part !== '' && !part.startsWith(':'));
  return word?.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()) ?? method.toLowerCase();
}

/**
 * Returns a controller whose routes answer `ok`.
 * A handler is named after the last word of its path: `Shop.login`, and `Shop.get` for `/`.
 */
export function routes(
  handlers: Handlers,
  {
    name = 'Shop',
    decorators: onClass = [],
  }: { name?: string; decorators?: readonly ClassDecorator[] | undefined } = {},
): Type {
  const { [name]: type } = { [name]: class {} } as Record<string, Type>;
  const { prototype } = type as Type;
  for (const [route, decorators] of Object.entries(handlers)) {
    const [path = '', method = 'GET'] = route.split(' ').reverse();
    const handler = handlerName(method, path);
    const descriptor = { value: () => 'ok', writable: true, configurable: true, enumerable: false };
    Object.defineProperty(prototype, handler, descriptor);
    const all = [VERBS[method as keyof typeof VERBS](path), decorators].flat() as MethodDecorator[];
    for (const decorate of all.reverse()) decorate(prototype, handler, descriptor);
  }
  for (const decorate of [Controller(), ...onClass].reverse()) decorate(type as Type);
  return type as Type;
}

/** Returns a function that throws. */
export const throwing = (error: Error) => (): never => {
  throw error;
};

/** A promise and its functions, as `Promise.withResolvers` of Node 22 returns them. */
export function withResolvers<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const promise = new Promise<T>((...functions) => {
    [resolve, reject] = functions;
  });
  return { promise, resolve, reject };
}

/** The configuration error with which an application does not start. */
export async function configErrorOf(starting: Promise<unknown>): Promise<RateLimitConfigError> {
  const error = await starting.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(RateLimitConfigError);
  return error as RateLimitConfigError;
}

/** Its problems, such as `bad-rate Shop.get`. */
export const codesOf = ({ problems }: RateLimitConfigError): string[] =>
  problems.map(({ code, source }) => `${code} ${source}`);
