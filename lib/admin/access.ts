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
import { configError, describeValue } from '../core/errors.js';
import { isObject } from '../core/validate.js';
import { FailedAttempts } from './failed-attempts.js';
import type { AdminGuard, RateLimitAdminAccess } from './options.js';
import { rejectCrossSite } from './same-site.js';
import { ADMIN_ACCESS, PROVIDED_GUARDS } from './tokens.js';

/** Where `@Injectable({ scope })` notes it. */
const SCOPE_OPTIONS = 'scope:options';

const isGuard = (value: unknown): value is CanActivate =>
  typeof (value as Partial<CanActivate> | null | undefined)?.canActivate === 'function';

/** Asks the application's guards who may use the admin API. */
@Injectable()
export class AdminAccess implements OnModuleInit {
  /** Null until they are known: then nobody may. */
  #guards: readonly CanActivate[] | null = null;

  constructor(
    @Inject(ADMIN_ACCESS) private readonly access: RateLimitAdminAccess,
    /** Those of their classes that an imported module provides. */
    @Inject(PROVIDED_GUARDS) private readonly provided: ReadonlyMap<unknown, CanActivate>,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {}

  /** @throws RateLimitConfigError `bad-option` when nothing guards the API, or what should is no guard. */
  async onModuleInit(): Promise<void> {
    if (!isObject(this.access)) {
      throw configError(
        'bad-option',
        `The useFactory of RateLimitAdminModule gave ${describeValue(this.access)}.`,
        'Return an object, such as { guards: [AdminGuard] }.',
      );
    }
    const { guards = [], allowUnguarded = false } = this.access;
    if (!Array.isArray(guards)) {
      throw configError(
        'bad-option',
        `guards cannot be ${describeValue(guards)}.`,
        'Give a list, such as [AdminGuard].',
      );
    }
    if (guards.length === 0 && allowUnguarded !== true) {
      throw configError(
        'bad-option',
        'RateLimitAdminModule has no guards, so that everybody could block clients and reset limits.',
        'Give it guards: [AdminGuard]; or allowUnguarded: true, where nobody else can reach its path.',
      );
    }
    this.#guards = await Promise.all(guards.map((guard: AdminGuard) => this.#instanceOf(guard)));
  }

  /** Whether all of them let a call pass; throws what they throw. */
  async allows(execution: ExecutionContext): Promise<boolean> {
    if (this.#guards === null) return false;
    for (const guard of this.#guards) {
      const answer = guard.canActivate(execution);
      if (!(await (isObservable(answer) ? lastValueFrom(answer) : answer))) return false;
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
          `${guard.name} is made for each request, and one is to guard the admin API for all of them.`,
          'Give a guard of the default scope.',
        );
      }
      const made: unknown = this.provided.get(guard) ?? (await this.moduleRef.create(guard));
      if (isGuard(made)) return made;
    }
    throw configError(
      'bad-option',
      `${describeValue(guard)} is no guard.`,
      'Give classes or objects with canActivate.',
    );
  }
}

/** Guards the admin API: no other site may use it in the name of an operator, and nobody without leave. */
@Injectable()
export class AdminApiGuard implements CanActivate {
  constructor(
    @Inject(AdminAccess) private readonly access: AdminAccess,
    @Inject(FailedAttempts) private readonly failedAttempts: FailedAttempts,
  ) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    rejectCrossSite(execution.switchToHttp().getRequest());
    const allows = () => this.access.allows(execution);
    if (await this.failedAttempts.limited(execution, allows)) return true;
    throw new ForbiddenException('The guards of the admin API do not let you pass.');
  }
}

/** Guards the page where it is to be guarded. */
@Injectable()
export class AdminPageGuard implements CanActivate {
  constructor(@Inject(AdminAccess) private readonly access: AdminAccess) {}

  canActivate(execution: ExecutionContext): Promise<boolean> {
    return this.access.allows(execution);
  }
}
