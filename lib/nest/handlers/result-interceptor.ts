import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { type Observable, tap } from 'rxjs';
import { HANDLER_LISTENER, INTERCEPTOR_BRAND } from './tokens.js';

/** How a handler has settled. */
export type HandlerResult = { readonly value: unknown; readonly error?: never } | { readonly error: unknown };

/** Waits for what a handler does. */
export interface HandlerListener {
  onStart(): void;
  onResult(result: HandlerResult): void;
}

interface RequestHolder {
  [HANDLER_LISTENER]?: HandlerListener;
}

/** What guards and interceptors of a call have in common; each have an `ExecutionContext` of their own. */
const requestHolder = (execution: ExecutionContext): RequestHolder =>
  execution.getType() === 'http'
    ? execution.getArgByIndex<RequestHolder>(0)
    : (execution.getArgs() as RequestHolder);

/** Has the interceptor tell of what the handler of a call does. */
export function listenToHandler(execution: ExecutionContext, listener: HandlerListener): void {
  requestHolder(execution)[HANDLER_LISTENER] = listener;
}

/**
 * Runs closest to a handler, and tells who waits for it what it gave or threw.
 *
 * It knows nothing of an application, so that it may stay bound to a handler that several share.
 */
export const resultInterceptor: NestInterceptor & { readonly [INTERCEPTOR_BRAND]: true } = {
  [INTERCEPTOR_BRAND]: true,
  intercept(execution: ExecutionContext, next: CallHandler): Observable<unknown> {
    const listener = requestHolder(execution)[HANDLER_LISTENER];
    if (listener === undefined) return next.handle();
    listener.onStart();
    let value: unknown;
    return next.handle().pipe(
      tap({
        next: (given) => {
          value = given;
        },
        complete: () => listener.onResult({ value }),
        error: (error: unknown) => listener.onResult({ error }),
      }),
    );
  },
};
