import 'reflect-metadata';
import type { Type } from '@nestjs/common';
import type { RateLimitEventName } from '../events/events.js';
import type { Declared } from '../plan/compile.js';
import type { Declaration, Skip } from '../plan/options.js';
import type { RateLimitContext } from './context.js';
import {
  ENTERED_METADATA,
  GUARD_BRAND,
  INTERCEPTOR_BRAND,
  LIMITS_METADATA,
  LISTENS_METADATA,
  SKIP_METADATA,
} from './tokens.js';
import type { TransportName } from './transports/transport.js';

/** A class or a method. */
export type Decorated = object;

type Limits = readonly Declaration<RateLimitContext>[];

const ownLimits = (target: Decorated): Limits =>
  (Reflect.getOwnMetadata(LIMITS_METADATA, target) as Limits | undefined) ?? [];

const ownSkip = (target: Decorated): Skip | undefined =>
  Reflect.getOwnMetadata(SKIP_METADATA, target) as Skip | undefined;

/** Notes a limit. Decorators are applied from the bottom up, so each goes before those noted already. */
export function noteLimit(target: Decorated, declaration: Declaration<RateLimitContext>): void {
  Reflect.defineMetadata(LIMITS_METADATA, [declaration, ...ownLimits(target)], target);
}

/** Notes a skip; several add up. */
export function noteSkip(target: Decorated, skip: Skip): void {
  const before = ownSkip(target);
  const both = skip === 'all' || before === 'all' ? 'all' : [...skip, ...(before ?? [])];
  Reflect.defineMetadata(SKIP_METADATA, both, target);
}

/** Notes the events that a method listens to; several decorators add up. */
export function noteListening(method: Decorated, names: readonly RateLimitEventName[]): void {
  Reflect.defineMetadata(LISTENS_METADATA, [...listeningOf(method), ...names], method);
}

/** The events that a method listens to. */
export const listeningOf = (method: Decorated): readonly RateLimitEventName[] =>
  (Reflect.getOwnMetadata(LISTENS_METADATA, method) as readonly RateLimitEventName[] | undefined) ?? [];

/** What a class or a method declares itself. */
export const declaredOn = (target: Decorated): Declared<RateLimitContext> => ({
  limits: ownLimits(target),
  skip: ownSkip(target),
});

/** What a class and those it inherits from declare, the furthest first. */
export function declaredOnClass(type: Type): readonly Declared<RateLimitContext>[] {
  const found: Declared<RateLimitContext>[] = [];
  for (
    let at: unknown = type;
    typeof at === 'function' && at !== Function.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    found.unshift(declaredOn(at));
  }
  return found;
}

/** Whether a class or a method declares anything at all. */
export const isDeclaredOn = (target: Decorated): boolean => {
  const { limits, skip } = declaredOn(target);
  return limits.length > 0 || skip !== undefined;
};

/** What Nest and its packages note on handlers; the same in Nest 11 and 12. */
const HANDLER_METADATA: readonly (readonly [string, TransportName])[] = [
  ['path', 'http'],
  ['graphql:resolver_type', 'graphql'],
  ['graphql:resolve_property', 'graphql'],
  ['websockets:message_mapping', 'ws'],
  ['microservices:handler_type', 'rpc'],
];

/** What a method is called over, undefined when Nest calls it for no request and no message. */
export const transportOf = (method: Decorated): TransportName | undefined =>
  HANDLER_METADATA.find(([key]) => Reflect.hasMetadata(key, method))?.[1];

/** Whether a handler resolves a field of a GraphQL type: part of a request that was charged at its root. */
export const isNestedField = (method: Decorated): boolean =>
  Reflect.hasMetadata('graphql:resolve_property', method) &&
  !Reflect.hasMetadata('graphql:resolver_type', method);

const GUARDS_METADATA = '__guards__';

/** The guards that `@UseGuards` binds to a class or a method, as classes or instances. */
export const guardsOn = (target: Decorated): readonly unknown[] =>
  (Reflect.getMetadata(GUARDS_METADATA, target) as readonly unknown[] | undefined) ?? [];

/**
 * What a guard of this library is for: deciding; standing in for one that decides; or finishing once all
 * other guards have run.
 */
export type GuardRole = 'deciding' | 'entry' | 'finishing';

interface Branded {
  readonly [GUARD_BRAND]: GuardRole;
}

/** The role of a guard, given as a class or an instance; undefined for one of somebody else. */
export function roleOf(guard: unknown): GuardRole | undefined {
  const target: unknown = typeof guard === 'function' ? guard.prototype : guard;
  return typeof target === 'object' && target !== null && GUARD_BRAND in target
    ? (target as Branded)[GUARD_BRAND]
    : undefined;
}

const ownGuardsOn = (target: Decorated): readonly unknown[] =>
  (Reflect.getOwnMetadata(GUARDS_METADATA, target) as readonly unknown[] | undefined) ?? [];

/** Whether a guard of the same role is bound already, be it of another copy of the library. */
const isBound = (target: Decorated, guard: Branded): boolean =>
  ownGuardsOn(target).some((other) => roleOf(other) === guard[GUARD_BRAND]);

/** Binds a guard to a method behind all those it has, once. */
export function bindLastGuard(method: Decorated, guard: Branded): void {
  if (!isBound(method, guard)) Reflect.defineMetadata(GUARDS_METADATA, [...guardsOn(method), guard], method);
}

/** Binds a guard to a class ahead of all those it has, once. */
export function bindFirstGuard(type: Decorated, guard: Branded): void {
  if (!isBound(type, guard)) Reflect.defineMetadata(GUARDS_METADATA, [guard, ...guardsOn(type)], type);
}

const INTERCEPTORS_METADATA = '__interceptors__';

/** Binds an interceptor to a method closer to it than all those it has, once. */
export function bindLastInterceptor(
  method: Decorated,
  interceptor: { readonly [INTERCEPTOR_BRAND]: true },
): void {
  const bound = (Reflect.getMetadata(INTERCEPTORS_METADATA, method) ?? []) as readonly object[];
  // It may be of another copy of the library.
  if (bound.some((other) => INTERCEPTOR_BRAND in other)) return;
  Reflect.defineMetadata(INTERCEPTORS_METADATA, [...bound, interceptor], method);
}

/** The guards of running applications that stand behind the entry guard of a class, the latest last. */
export const enteredOn = <Guard>(type: Decorated): Guard[] => {
  let entered = Reflect.getOwnMetadata(ENTERED_METADATA, type) as Guard[] | undefined;
  if (entered === undefined) {
    entered = [];
    Reflect.defineMetadata(ENTERED_METADATA, entered, type);
  }
  return entered;
};
