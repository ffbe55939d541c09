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
import { mistake } from '../core/errors.js';
import { shown } from '../core/shown.js';
import type { AdminGuard, RateLimitAdminAccess } from './options.js';
import { refuseForeign } from './same-site.js';
import { ADMIN_ACCESS } from './tokens.js';

const isGuard = (value: unknown): value is CanActivate =>
  typeof (value as Partial<CanActivate> | null | undefined)?.canActivate === 'function';

/** Lets those use the admin API whom the application's guards let. */
@Injectable()
export class AdminAccess implements OnModuleInit {
  #guards: readonly CanActivate[] = [];

  constructor(
    @Inject(ADMIN_ACCESS) private readonly access: RateLimitAdminAccess,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {}

  /** @throws RateLimitConfigError `bad-option` when nothing guards the API, or what should is no guard. */
  async onModuleInit(): Promise<void> {
    const { guards = [], allowUnguarded = false } = this.access;
    if (!Array.isArray(guards)) {
      throw mistake('bad-option', `guards cannot be ${shown(guards)}.`, 'Give a list, such as [AdminGuard].');
    }
    if (guards.length === 0 && allowUnguarded !== true) {
      throw mistake(
        'bad-option',
        'RateLimitAdminModule has no guards, so that everybody could block clients and reset limits.',
        'Give it guards: [AdminGuard]; or allowUnguarded: true, where nobody else can reach its path.',
      );
    }
    this.#guards = await Promise.all(guards.map((guard: AdminGuard) => this.#resolve(guard)));
  }

  async allows(execution: ExecutionContext): Promise<boolean> {
    for (const guard of this.#guards) {
      const answer = guard.canActivate(execution);
      if (!(await (isObservable(answer) ? lastValueFrom(answer) : answer))) return false;
    }
    return true;
  }

  async #resolve(guard: AdminGuard): Promise<CanActivate> {
    if (isGuard(guard)) return guard;
    const made = typeof guard === 'function' ? await this.#instanceOf(guard) : guard;
    if (isGuard(made)) return made;
    throw mistake('bad-option', `${shown(guard)} is no guard.`, 'Give classes or objects with canActivate.');
  }

  #instanceOf(type: Exclude<AdminGuard, CanActivate>): CanActivate | Promise<CanActivate> {
    try {
      return this.moduleRef.get<CanActivate>(type, { strict: false });
    } catch {
      // No module provides it.
      return this.moduleRef.create(type);
    }
  }
}

/** Guards the admin API: no other site may use it in the name of an operator, and nobody without leave. */
@Injectable()
export class AdminApiGuard implements CanActivate {
  constructor(@Inject(AdminAccess) private readonly access: AdminAccess) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    refuseForeign(execution.switchToHttp().getRequest());
    if (await this.access.allows(execution)) return true;
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
