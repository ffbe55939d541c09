import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { type Observable, tap } from 'rxjs';
import { INTERCEPTOR_BRAND, WATCHED } from './tokens.js';

/** How a handler has settled. */
export type Settled = { readonly value: unknown; readonly error?: never } | { readonly error: unknown };

/** Waits for what a handler does. */
export interface HandlerWatch {
  starts(): void;
  settles(settled: Settled): void;
}

interface Carrier {
  [WATCHED]?: HandlerWatch;
}

/** What guards and interceptors of a call have in common; each have an `ExecutionContext` of their own. */
const carrierOf = (execution: ExecutionContext): Carrier =>
  execution.getType() === 'http' ? execution.getArgByIndex<Carrier>(0) : (execution.getArgs() as Carrier);

/** Has the interceptor tell of what the handler of a call does. */
export function watchHandler(execution: ExecutionContext, watch: HandlerWatch): void {
  carrierOf(execution)[WATCHED] = watch;
}

/**
 * Runs closest to a handler, and tells who waits for it what it gave or threw.
 *
 * It knows nothing of an application, so that it may stay bound to a handler that several share.
 */
export const countingInterceptor: NestInterceptor & { readonly [INTERCEPTOR_BRAND]: true } = {
  [INTERCEPTOR_BRAND]: true,
  intercept(execution: ExecutionContext, next: CallHandler): Observable<unknown> {
    const watch = carrierOf(execution)[WATCHED];
    if (watch === undefined) return next.handle();
    watch.starts();
    let value: unknown;
    return next.handle().pipe(
      tap({
        next: (given) => {
          value = given;
        },
        complete: () => watch.settles({ value }),
        error: (error: unknown) => watch.settles({ error }),
      }),
    );
  },
};
