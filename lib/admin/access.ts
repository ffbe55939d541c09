import {
  type CanActivate,
  type ExecutionContext,
  ForbiddenException,
  Inject,
  Injectable,
  Optional,
} from '@nestjs/common';
import { type ModuleRef, ModulesContainer } from '@nestjs/core';
import { isObservable, lastValueFrom } from 'rxjs';
import { type Charge, type Decision, toOutcome } from '../core/decision.js';
import { configError, describeValue, RateLimitConfigError } from '../core/errors.js';
import { definePolicy } from '../core/policy.js';
import { BOOLEAN, type OptionRules, validateOptions } from '../core/validate.js';
import { RateLimitContext, type TransportReader } from '../nest/context/call-context.js';
import type { RequestLike } from '../nest/context/transports.js';
import { GUARDED_STORE, RATE_LIMIT_OPTIONS, RESPONDER, SETTINGS } from '../nest/handlers/tokens.js';
import type { RequestSettings } from '../nest/request/request-check.js';
import type { Responder } from '../nest/request/responder.js';
import type { Store } from '../store/store.js';
import type { AdminGuard, RateLimitAdminAccess } from './options.js';

/** Injection token of the guards of the application. */
export const ADMIN_GUARDS: unique symbol = Symbol.for('nestjs-ratelimit:admin-guards');

export const ACCESS_RULES: OptionRules<keyof RateLimitAdminAccess> = {
  guards: { accepts: Array.isArray, fix: 'Give a list, such as [AdminGuard].' },
  allowUnguarded: BOOLEAN,
};

/** The metadata key of `@Injectable({ scope })`. */
const SCOPE_OPTIONS = 'scope:options';

const isGuard = (value: unknown): value is CanActivate =>
  typeof (value as Partial<CanActivate> | null | undefined)?.canActivate === 'function';

async function toGuard(guard: AdminGuard, moduleRef: ModuleRef): Promise<CanActivate> {
  if (isGuard(guard)) return guard;
  if (typeof guard === 'function') {
    const options = Reflect.getMetadata(SCOPE_OPTIONS, guard) as { readonly scope?: unknown } | undefined;
    if (options?.scope) {
      throw configError(
        'bad-option',
        `${guard.name} is created for each request, but the admin API needs one guard for all requests.`,
        'Give a guard of the default scope.',
      );
    }
    const instance: unknown = await moduleRef.create(guard);
    if (isGuard(instance)) return instance;
  }
  throw configError(
    'bad-option',
    `${describeValue(guard)} is not a guard.`,
    'Give classes or objects with canActivate.',
  );
}

/**
 * Returns the guards that decide who may use the admin API.
 *
 * @throws RateLimitConfigError `bad-option` if there is no guard, or one of the guards is not a guard.
 */
export async function resolveGuards(
  access: RateLimitAdminAccess,
  moduleRef: ModuleRef,
): Promise<readonly CanActivate[]> {
  const hint = 'The useFactory returns an object such as { guards: [AdminGuard] }.';
  validateOptions(access, ACCESS_RULES, 'RateLimitAdminModule', hint);
  const { guards = [], allowUnguarded = false } = access;
  if (guards.length === 0 && !allowUnguarded) {
    throw configError(
      'bad-option',
      'RateLimitAdminModule has no guards, so everybody could block clients and reset limits.',
      'Give it guards: [AdminGuard]; or allowUnguarded: true if nobody else can reach its path.',
    );
  }
  return Promise.all(guards.map((guard: AdminGuard) => toGuard(guard, moduleRef)));
}

/** An address whose requests the guards reject this often is guessing tokens. */
const FAILED_ATTEMPTS_POLICY = definePolicy({
  name: 'rate-limit-admin',
  scope: 'rate-limit-admin',
  rate: { limit: 20, windowMs: 60_000 },
});

/** Throws `bad-option` if no module provides options. Compares those, since invalid ones leave no settings either. */
function requireRoot(modules: ModulesContainer): void {
  if ([...modules.values()].some(({ providers }) => providers.has(RATE_LIMIT_OPTIONS))) return;
  throw new RateLimitConfigError([
    {
      code: 'bad-option',
      source: 'RateLimitAdminModule',
      message: 'RateLimitModule is not imported, so there are no limits to show.',
      fix: 'Import RateLimitModule.forRoot({ ... }) in the root module.',
    },
  ]);
}

/** Asks the application's guards who may use the admin API. Guards the page, where it is `'guarded'`. */
@Injectable()
export class AdminAccess implements CanActivate {
  constructor(
    @Inject(ADMIN_GUARDS) private readonly guards: readonly CanActivate[],
    @Inject(ModulesContainer) modules: ModulesContainer,
    // Optional, so that this class can say that RateLimitModule is missing: Nest's error names a parameter by its index.
    @Optional() @Inject(SETTINGS) private readonly settings: RequestSettings,
    @Optional() @Inject(GUARDED_STORE) private readonly store: Store,
    @Optional() @Inject(RESPONDER) private readonly responder: Responder,
  ) {
    requireRoot(modules);
  }

  /** Returns true if every guard lets the request pass; throws whatever a guard throws. */
  async canActivate(execution: ExecutionContext): Promise<boolean> {
    for (const guard of this.guards) {
      const result = guard.canActivate(execution);
      if (!(await (isObservable(result) ? lastValueFrom(result) : result))) return false;
    }
    return true;
  }

  /**
   * Returns what `check` returns, which is by default whether the guards let the request pass. Throws 403 for a request
   * from another site, and 429 without a check if too many requests of the address have failed theirs, whatever the
   * module's options say. The identity is of its own kind, so an operator who blocks an address does not lock it out of
   * the API.
   */
  async allows(execution: ExecutionContext, check = () => this.canActivate(execution)): Promise<boolean> {
    rejectCrossSite(execution.switchToHttp().getRequest());
    const context = new RateLimitContext(execution, this.settings.readers.http as TransportReader);
    const charge: Charge = {
      policy: FAILED_ATTEMPTS_POLICY,
      identity: `admin:${context.address ?? 'unknown'}`,
      cost: 1,
      shadow: false,
      blockDurationsMs: [],
    };
    const { decisions, degraded } = await this.store.consume([charge]);
    const outcome = toOutcome(decisions, degraded);
    if (!outcome.allowed) throw this.responder.denied(context, outcome);
    const isAllowed = await check();
    if (isAllowed) void this.#refund(decisions);
    return isAllowed;
  }

  async #refund(decisions: readonly Decision[]): Promise<void> {
    try {
      await this.store.refund(decisions);
    } catch {
      // A charge that is not given back ends within a minute.
    }
  }
}

/** A header that no form and no link can send, and that other sites can send only where CORS allows it. */
const ADMIN_HEADER = 'x-ratelimit-admin';

const hostOf = (origin: string): string | null => (URL.canParse(origin) ? new URL(origin).host : null);

/** Returns the hosts that a request may be for: also over HTTP/2, and behind a proxy that names the host. */
const requestedHosts = ({ headers = {} }: RequestLike): readonly unknown[] => [
  headers.host,
  headers[':authority'],
  headers['x-forwarded-host'],
];

/**
 * Returns true if a browser sends the request for another site; without TLS, browsers send only the origin.
 */
function isCrossSite(request: RequestLike): boolean {
  const { 'sec-fetch-site': site, origin } = request.headers ?? {};
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  return typeof origin === 'string' && !requestedHosts(request).includes(hostOf(origin));
}

/**
 * Throws 403 for a request that a browser sends for another site, and for a change without the admin header.
 */
function rejectCrossSite(request: RequestLike): void {
  if (isCrossSite(request)) throw new ForbiddenException('The admin API rejects requests from other sites.');
  if (request.method === 'GET' || request.headers?.[ADMIN_HEADER] !== undefined) return;
  throw new ForbiddenException('A request that changes anything must send the header X-RateLimit-Admin: 1.');
}

/** Guards the admin API. */
@Injectable()
export class AdminApiGuard implements CanActivate {
  constructor(@Inject(AdminAccess) private readonly access: AdminAccess) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    if (await this.access.allows(execution)) return true;
    throw new ForbiddenException('The guards of the admin API denied access.');
  }
}
