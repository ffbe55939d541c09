import type {
  CanActivate,
  DynamicModule,
  ExecutionContext,
  INestApplication,
  ModuleMetadata,
  NestMiddleware,
  Type,
} from '@nestjs/common';
import { Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter, type NestExpressApplication } from '@nestjs/platform-express';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { MemoryStore, RateLimitModule, type RateLimitModuleOptions } from 'nestjs-ratelimit';
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

/** Authentication as a guard: refuses callers without a known token where it is `strict`. */
export class AuthGuard implements CanActivate {
  constructor(readonly strict = false) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<WithUser>();
    authenticate(request);
    return !this.strict || request.user !== undefined;
  }
}

/** Authentication as middleware, ahead of all guards. */
export class AuthMiddleware implements NestMiddleware {
  use(request: WithUser, _response: unknown, next: () => void): void {
    authenticate(request);
    next();
  }
}

export interface TestApp {
  readonly app: INestApplication;
  readonly url: string;
  readonly clock: TestClock;
  readonly store: MemoryStore;
  /** What was logged at warn and error, by Nest and by us. */
  readonly logged: string[];
  /** Those of them that were logged at warn. */
  readonly warned: string[];
  /** What was logged of denials. */
  readonly denials: readonly object[];
  /** One request, by default a GET from 127.0.0.1. */
  get(path: string, options?: Call): Promise<Answer>;
  close(): Promise<void>;
}

export interface Call {
  readonly method?: string;
  /** The bearer token of a test user. */
  readonly as?: string;
  /** The client's address, told by the trusted proxy on loopback. */
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

export interface AppOptions extends ModuleMetadata {
  readonly options?: RateLimitModuleOptions;
  /** In place of `RateLimitModule.forRoot(options)`. */
  readonly root?: (store: MemoryStore) => DynamicModule;
  readonly prepare?: (app: INestApplication) => void;
  /** Whether a middleware knows users. Default: yes. */
  readonly middleware?: boolean;
  readonly store?: MemoryStore;
  readonly clock?: TestClock;
  /** In place of Fastify's usual one. */
  readonly adapter?: FastifyAdapter;
}

class ListeningLogger {
  readonly lines: string[] = [];
  readonly warnings: string[] = [];
  /** What was logged as objects: denials. */
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

async function call(
  url: string,
  path: string,
  { method = 'GET', as, from, headers = {}, body }: Call,
): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(as === undefined ? {} : { authorization: `Bearer ${as}` }),
      ...(from === undefined ? {} : { 'x-forwarded-for': from }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: response.status, headers: response.headers, text, json };
}

/** A module class that holds the given metadata. */
export function moduleOf(metadata: ModuleMetadata, name = 'AppModule'): Type {
  const { [name]: type } = { [name]: class {} };
  Module(metadata)(type as Type);
  return type as Type;
}

/** Applications that a failing test has left open, which would keep Jest waiting for ever. */
const open = new Set<INestApplication>();
afterAll(async () => {
  for (const app of open) await app.close();
});

/** Serves an application over a real socket on one of the platforms, with a clock that the test turns. */
export async function serve(
  platform: Platform,
  { options, root, prepare, middleware = true, ...given }: AppOptions,
): Promise<TestApp> {
  const clock = given.clock ?? new TestClock(Date.now());
  const store = given.store ?? new MemoryStore({ clock });
  const { imports = [], store: _store, clock: _clock, adapter: _adapter, ...metadata } = given;
  const limits = root === undefined ? RateLimitModule.forRoot({ store, ...options }) : root(store);
  const type = moduleOf({ ...metadata, imports: [limits, ...imports] });
  const logger = new ListeningLogger();
  let app: INestApplication;
  if (platform === 'express') {
    const express = await NestFactory.create<NestExpressApplication>(type, new ExpressAdapter(), {
      logger,
      abortOnError: false,
    });
    express.set('trust proxy', 'loopback');
    app = express;
  } else {
    app = await NestFactory.create<NestFastifyApplication>(
      type,
      given.adapter ?? new FastifyAdapter({ trustProxy: 'loopback' }),
      {
        logger,
        abortOnError: false,
      },
    );
  }
  if (middleware)
    app.use((request: WithUser, response: unknown, next: () => void) =>
      new AuthMiddleware().use(request, response, next),
    );
  open.add(app);
  prepare?.(app);
  await app.listen(0, '127.0.0.1');
  const url = (await app.getUrl()).replace('[::1]', '127.0.0.1');
  return {
    app,
    url,
    clock,
    store,
    logged: logger.lines,
    warned: logger.warnings,
    denials: logger.denials,
    get: (path, options = {}) => call(url, path, options),
    async close() {
      open.delete(app);
      await app.close();
      Logger.overrideLogger(['log', 'error', 'warn']);
    },
  };
}

/** Starts applications on a platform, with the given options where a test has no others, until its test ends. */
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

/** The statuses of `count` requests, one after the other. */
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

/** `count` times `status`. */
export const times = (count: number, status: number): number[] => Array.from({ length: count }, () => status);
