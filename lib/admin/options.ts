import type { CanActivate, FactoryProvider, ModuleMetadata, Type } from '@nestjs/common';
import type { Awaitable } from '../core/awaitable.js';

/**
 * A guard of the default scope, or its class. `forRoot` takes the instance that an imported module provides;
 * otherwise Nest creates one, with providers of imported modules.
 */
export type AdminGuard = CanActivate | Type<CanActivate>;

/** Controls access to the admin API. */
export interface RateLimitAdminAccess {
  /** Guards that all have to let a request pass; they run in this order. At least one. */
  readonly guards?: readonly AdminGuard[] | undefined;
  /** True gives access to everybody who can reach the path. Default false. */
  readonly allowUnguarded?: boolean | undefined;
}

/** The path and the page of the admin API: these have to be known when the module is imported. */
export interface RateLimitAdminRouteOptions extends Pick<ModuleMetadata, 'imports'> {
  /** The path without the global prefix, served in all versions. Default `'admin/rate-limits'`. */
  readonly path?: string | undefined;
  /**
   * True serves a page at the path. The page itself contains no data, and asks for a bearer token if the API
   * needs one. `'guarded'` puts the page behind the same guards, for operators who sign in by cookie. Default
   * true.
   */
  readonly page?: boolean | 'guarded' | undefined;
  /** Decorators for the page, such as one that exempts it from a global guard of the application. */
  readonly pageDecorators?: readonly ClassDecorator[] | undefined;
}

/** The options of `RateLimitAdminModule.forRoot`. */
export interface RateLimitAdminOptions extends RateLimitAdminRouteOptions, RateLimitAdminAccess {}

/** The options of `RateLimitAdminModule.forRootAsync`. */
export interface RateLimitAdminAsyncOptions extends RateLimitAdminRouteOptions {
  /** The providers that `useFactory` takes as arguments. */
  readonly inject?: FactoryProvider['inject'];
  /** Returns the access options, or a promise of them. */
  readonly useFactory: (...args: never[]) => Awaitable<RateLimitAdminAccess>;
}
