import {
  type CanActivate,
  type ExecutionContext,
  ForbiddenException,
  Inject,
  Injectable,
  type OnModuleInit,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { isObservable, lastValueFrom } from 'rxjs';
import { type Charge, type Decision, toOutcome } from '../core/decision.js';
import { configError, describeValue } from '../core/errors.js';
import { definePolicy } from '../core/policy.js';
import { BOOLEAN, type OptionRules, validateOptions } from '../core/validate.js';
import { RateLimitContext, type TransportReader } from '../nest/context/call-context.js';
import type { RequestLike } from '../nest/context/transports.js';
import { GUARDED_STORE, RESPONDER, SETTINGS } from '../nest/handlers/tokens.js';
import type { RequestSettings } from '../nest/request/request-check.js';
import type { Responder } from '../nest/request/responder.js';
import type { Store } from '../store/store.js';
import type { AdminGuard, RateLimitAdminAccess } from './options.js';

/** Injection token of the {@link RateLimitAdminAccess}. */
export const ADMIN_ACCESS: unique symbol = Symbol.for('nestjs-ratelimit:admin-access');

/** Injection token of the guards that imported modules provide, by their classes. */
export const PROVIDED_GUARDS: unique symbol = Symbol.for('nestjs-ratelimit:provided-guards');

export const ACCESS_RULES: OptionRules<keyof RateLimitAdminAccess> = {
  guards: { accepts: Array.isArray, fix: 'Give a list, such as [AdminGuard].' },
  allowUnguarded: BOOLEAN,
};

/** The metadata key of `@Injectable({ scope })`. */
const SCOPE_OPTIONS = 'scope:options';

const isGuard = (value: unknown): value is CanActivate =>
  typeof (value as Partial<CanActivate> | null | undefined)?.canActivate === 'function';

/** Asks the application's guards who may use the admin API. */
@Injectable()
export class AdminAccess implements OnModuleInit {
  /** Null until the guards are known; until then, nobody has access. */
  #guards: readonly CanActivate[] | null = null;

  constructor(
    @Inject(ADMIN_ACCESS) private readonly access: RateLimitAdminAccess,
    @Inject(PROVIDED_GUARDS) private readonly provided: ReadonlyMap<unknown, CanActivate>,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {}

  /** @throws RateLimitConfigError `bad-option` if there is no guard, or one of the guards is not a guard. */
  async onModuleInit(): Promise<void> {
    const hint = 'The useFactory returns an object such as { guards: [AdminGuard] }.';
    validateOptions(this.access, ACCESS_RULES, 'RateLimitAdminModule', hint);
    const { guards = [], allowUnguarded = false } = this.access;
    if (guards.length === 0 && !allowUnguarded) {
      throw configError(
        'bad-option',
        'RateLimitAdminModule has no guards, so everybody could block clients and reset limits.',
        'Give it guards: [AdminGuard]; or allowUnguarded: true if nobody else can reach its path.',
      );
    }
    this.#guards = await Promise.all(guards.map((guard: AdminGuard) => this.#instanceOf(guard)));
  }

  /** Returns true if every guard lets the request pass; throws whatever a guard throws. */
  async allows(execution: ExecutionContext): Promise<boolean> {
    if (this.#guards === null) return false;
    for (const guard of this.#guards) {
      const result = guard.canActivate(execution);
      if (!(await (isObservable(result) ? lastValueFrom(result) : result))) return false;
    }
    return true;
  }

  async #instanceOf(guard: AdminGuard): Promise<CanActivate> {
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
      const instance: unknown = this.provided.get(guard) ?? (await this.moduleRef.create(guard));
      if (isGuard(instance)) return instance;
    }
    throw configError(
      'bad-option',
      `${describeValue(guard)} is not a guard.`,
      'Give classes or objects with canActivate.',
    );
  }
}

/** An address whose requests the guards reject this often is guessing tokens. */
const FAILED_ATTEMPTS_POLICY = definePolicy({
  name: 'rate-limit-admin',
  scope: 'rate-limit-admin',
  rate: { limit: 20, windowMs: 60_000 },
});

/**
 * Limits the requests of each address that the guards of the admin API reject, whatever the module's options
 * say. The identity is of its own kind, so an operator who blocks an address does not lock it out of the API.
 */
@Injectable()
export class FailedAttempts {
  constructor(
    @Inject(SETTINGS) private readonly settings: RequestSettings,
    @Inject(GUARDED_STORE) private readonly store: Store,
    @Inject(RESPONDER) private readonly responder: Responder,
  ) {}

  /**
   * Returns what `allows` returns, and counts the request if that is not true. Throws 429 without calling it
   * if too many requests of the address have failed.
   */
  async limit(execution: ExecutionContext, allows: () => Promise<boolean>): Promise<boolean> {
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
    const isAllowed = await allows();
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
export function rejectCrossSite(request: RequestLike): void {
  if (isCrossSite(request)) throw new ForbiddenException('The admin API rejects requests from other sites.');
  if (request.method === 'GET' || request.headers?.[ADMIN_HEADER] !== undefined) return;
  throw new ForbiddenException('A request that changes anything must send the header X-RateLimit-Admin: 1.');
}

/**
 * Guards the admin API: rejects requests from other sites, and requests that the application's guards reject.
 */
@Injectable()
export class AdminApiGuard implements CanActivate {
  constructor(
    @Inject(AdminAccess) private readonly access: AdminAccess,
    @Inject(FailedAttempts) private readonly failedAttempts: FailedAttempts,
  ) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    rejectCrossSite(execution.switchToHttp().getRequest());
    if (await this.failedAttempts.limit(execution, () => this.access.allows(execution))) return true;
    throw new ForbiddenException('The guards of the admin API denied access.');
  }
}

/** Guards the page, where it is `'guarded'`. */
@Injectable()
export class AdminPageGuard implements CanActivate {
  constructor(@Inject(AdminAccess) private readonly access: AdminAccess) {}

  canActivate(execution: ExecutionContext): Promise<boolean> {
    return this.access.allows(execution);
  }
}
