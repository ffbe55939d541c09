import type { CanActivate, FactoryProvider, ModuleMetadata, Type } from '@nestjs/common';
import type { Awaitable } from '../core/awaitable.js';

/**
 * A guard, or its class, of the default scope. With `forRoot` one that an imported module provides is taken; any other
 * is made, with what imported modules provide.
 */
export type AdminGuard = CanActivate | Type<CanActivate>;

/** Who may use the admin API. */
export interface RateLimitAdminAccess {
  /** Every one of them has to let a call of the API pass, in this order; at least one. */
  readonly guards?: readonly AdminGuard[] | undefined;
  /** True: everybody who reaches the path may use it. Default false. */
  readonly allowUnguarded?: boolean | undefined;
}

/** Where the admin API is, which has to be known when the module is imported. */
export interface RateLimitAdminRouteOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Without the global prefix, in all versions. Default `'admin/rate-limits'`. */
  readonly path?: string | undefined;
  /**
   * Whether there is a page at the path: a document without any data, which asks for a bearer token where the API
   * wants one. `'guarded'` puts it behind the same guards, for those who sign in by cookie. Default true.
   */
  readonly page?: boolean | 'guarded' | undefined;
  /** Decorators for the page, such as one that lets it pass a global guard of the application. */
  readonly pageDecorators?: readonly ClassDecorator[] | undefined;
}

/** The options of `RateLimitAdminModule.forRoot`. */
export interface RateLimitAdminOptions extends RateLimitAdminRouteOptions, RateLimitAdminAccess {}

/** The options of `RateLimitAdminModule.forRootAsync`. */
export interface RateLimitAdminAsyncOptions extends RateLimitAdminRouteOptions {
  /** What `useFactory` is called with. */
  readonly inject?: FactoryProvider['inject'];
  /** Returns who may use the API, at once or later. */
  readonly useFactory: (...given: never[]) => Awaitable<RateLimitAdminAccess>;
}
