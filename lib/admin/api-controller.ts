import {
  Body,
  ConflictException,
  Controller,
  Get,
  Inject,
  type OnModuleDestroy,
  Param,
  Post,
  Query,
  Res,
  type Type,
  UseGuards,
  VERSION_NEUTRAL,
} from '@nestjs/common';
import { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { systemClock } from '../core/clock.js';
import type { Duration } from '../core/duration.js';
import { configError, describeValue } from '../core/errors.js';
import type { RateLimiter } from '../limiter/rate-limiter.js';
import { SkipRateLimit } from '../nest/handlers/decorators.js';
import { GUARDED_STORE, LIMITER, PLANS, SCOPES, SETTINGS, STATISTICS } from '../nest/handlers/tokens.js';
import type { PlanRegistry } from '../nest/startup/plan-registry.js';
import type { Settings } from '../nest/startup/settings.js';
import type { RateLimitStats } from '../observe/stats/stats.js';
import type { Limit } from '../plan/limit.js';
import type { Scopes } from '../plan/scopes.js';
import type { GuardedStore } from '../resilience/guard-store.js';
import { AdminApiGuard } from './access.js';
import { clientStatus } from './clients.js';
import { LiveStream } from './live.js';
import { AdminResponder } from './responder.js';
import { healthResponse, statsResponse } from './responses.js';
import { RouteTable } from './routes.js';

/** Longer than any identity that keys write. */
const MAX_IDENTITY_LENGTH = 1_000;

/** Returns a whole number of a query, or undefined if it is left out. */
function queryNumber(name: string, value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && /^\d{1,6}$/.test(value)) return Number(value);
  throw configError('bad-option', `${name} cannot be ${describeValue(value)}.`, 'Give a whole number.');
}

function requireIdentity(identity: string): string {
  if (identity.length <= MAX_IDENTITY_LENGTH && identity.trim() !== '') return identity;
  throw configError(
    'bad-key',
    `${describeValue(identity)} is not an identity.`,
    `Give one such as 'user:42'.`,
  );
}

/** Reads and changes what the admin API exposes. */
class AdminApi implements OnModuleDestroy {
  readonly #live: LiveStream;
  #routeTable: RouteTable | null = null;

  constructor(
    @Inject(SETTINGS) private readonly settings: Settings,
    @Inject(SCOPES) private readonly scopes: Scopes<never>,
    @Inject(PLANS) private readonly plans: PlanRegistry,
    @Inject(GUARDED_STORE) private readonly store: GuardedStore,
    @Inject(LIMITER) private readonly limiter: RateLimiter<string>,
    @Inject(STATISTICS) private readonly statistics: RateLimitStats,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(AdminResponder) private readonly responder: AdminResponder,
  ) {
    this.#live = new LiveStream(statistics, limiter, systemClock);
  }

  onModuleDestroy(): void {
    this.#live.end();
  }

  @Get('stats')
  stats(@Query('hours') hours: unknown, @Query('top') top: unknown, @Res() response: unknown) {
    return this.responder.send(response, async () => {
      const { enabled, statistics } = this.settings;
      if (!enabled || statistics === null)
        throw new ConflictException('There are no statistics: statistics are turned off.');
      const snapshot = await this.statistics.snapshot({
        hours: queryNumber('hours', hours),
        top: queryNumber('top', top),
      });
      return statsResponse(snapshot, this.#routes().endpointOf);
    });
  }

  @Get('limits')
  limits(@Res() response: unknown) {
    return this.responder.send(response, () => ({ routes: this.#routes().list }));
  }

  @Get('health')
  health(@Res() response: unknown) {
    return this.responder.send(response, () => healthResponse(this.limiter.health()));
  }

  @Get('clients/:identity')
  client(@Param('identity') identity: string, @Res() response: unknown) {
    return this.responder.send(response, () => {
      const normalized = this.limiter.normalize(requireIdentity(identity));
      return clientStatus(normalized, this.#limits(), this.store, systemClock.now);
    });
  }

  @Post('clients/:identity/block')
  block(@Param('identity') identity: string, @Body() body: unknown, @Res() response: unknown) {
    return this.responder.send(response, () => {
      if (!this.settings.enabled)
        throw new ConflictException('No client can be blocked: limits are turned off.');
      const duration = (body as { readonly for?: Duration } | null | undefined)?.for as Duration;
      return this.limiter.block({ identity: requireIdentity(identity), for: duration });
    });
  }

  @Post('clients/:identity/unblock')
  unblock(@Param('identity') identity: string, @Res() response: unknown) {
    return this.responder.send(response, () => this.limiter.unblock({ identity: requireIdentity(identity) }));
  }

  @Post('clients/:identity/reset')
  reset(@Param('identity') identity: string, @Res() response: unknown) {
    return this.responder.send(response, () => this.limiter.reset({ identity: requireIdentity(identity) }));
  }

  @Get('live')
  live(@Res() response: Parameters<LiveStream['stream']>[0]): void {
    this.#live.stream(response);
  }

  /** Compiled on the first call, because applications set prefix and versions after modules are created. */
  #routes(): RouteTable {
    this.#routeTable ??= new RouteTable(this.plans.routes, this.config, this.modules);
    return this.#routeTable;
  }

  *#limits(): Iterable<Limit<never>> {
    for (const name of this.scopes.names) yield* this.scopes.get(name);
    for (const { limits } of this.plans.routes) yield* limits;
  }
}

/** Returns the controller of the API: a class per path, because the path is an argument of its decorator. */
export function apiController(path: string): Type {
  @Controller({ path, version: VERSION_NEUTRAL })
  @UseGuards(AdminApiGuard)
  @SkipRateLimit()
  class RateLimitAdminController extends AdminApi {}
  return RateLimitAdminController;
}
