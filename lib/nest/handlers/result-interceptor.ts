import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { type Observable, tap } from 'rxjs';
import { HANDLER_LISTENER, INTERCEPTOR_BRAND } from './tokens.js';

/** The value that a handler returned, or the error that it threw. */
export type HandlerResult = { readonly value: unknown; readonly error?: never } | { readonly error: unknown };

/** Listens for the result of a handler. */
export interface HandlerListener {
  onStart(): void;
  onResult(result: HandlerResult): void;
}

interface RequestHolder {
  [HANDLER_LISTENER]?: HandlerListener;
}

/** Returns the object that guards and interceptors of a call share: each has an `ExecutionContext` of its own. */
const requestHolder = (execution: ExecutionContext): RequestHolder =>
  execution.getType() === 'http'
    ? execution.getArgByIndex<RequestHolder>(0)
    : (execution.getArgs() as RequestHolder);

/** Registers the listener that the interceptor calls with the handler's result. */
export function listenToHandler(execution: ExecutionContext, listener: HandlerListener): void {
  requestHolder(execution)[HANDLER_LISTENER] = listener;
}

/**
 * Runs closest to a handler, and passes its result to the listener.
 *
 * It holds no state of an application, because several may share the handler that it is bound to.
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
        next: (emitted) => {
          value = emitted;
        },
        complete: () => listener.onResult({ value }),
        error: (error: unknown) => listener.onResult({ error }),
      }),
    );
  },
};
