import 'reflect-metadata';
import type { Type } from '@nestjs/common';
import type { RateLimitEventName } from '../../observe/events.js';
import type { Declarations } from '../../plan/compile.js';
import type { DeclaredLimit, SkipDeclaration } from '../../plan/options.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { TransportName } from '../context/transports.js';
import {
  EVENTS_METADATA,
  GUARD_BRAND,
  INTERCEPTOR_BRAND,
  LIMITS_METADATA,
  RUNNING_GUARDS,
  SKIP_METADATA,
} from './tokens.js';

/** A class or a method. */
export type Target = object;

type Limits = readonly DeclaredLimit<RateLimitContext>[];

const ownLimits = (target: Target): Limits =>
  (Reflect.getOwnMetadata(LIMITS_METADATA, target) as Limits | undefined) ?? [];

const ownSkip = (target: Target): SkipDeclaration | undefined =>
  Reflect.getOwnMetadata(SKIP_METADATA, target) as SkipDeclaration | undefined;

/** Records a limit. Decorators run from the bottom up, so each goes before those recorded already. */
export function addLimit(target: Target, declaration: DeclaredLimit<RateLimitContext>): void {
  Reflect.defineMetadata(LIMITS_METADATA, [declaration, ...ownLimits(target)], target);
}

/** Records a skip; several add up. */
export function addSkip(target: Target, skip: SkipDeclaration): void {
  const before = ownSkip(target);
  const both = skip === 'all' || before === 'all' ? 'all' : [...skip, ...(before ?? [])];
  Reflect.defineMetadata(SKIP_METADATA, both, target);
}

/** Records the events that a method listens to; several decorators add up. */
export function addListener(method: Target, names: readonly RateLimitEventName[]): void {
  Reflect.defineMetadata(EVENTS_METADATA, [...listenedEvents(method), ...names], method);
}

/** Returns the events that a method listens to. */
export const listenedEvents = (method: Target): readonly RateLimitEventName[] =>
  (Reflect.getOwnMetadata(EVENTS_METADATA, method) as readonly RateLimitEventName[] | undefined) ?? [];

/** Returns the declarations of a class or a method itself. */
export const declarationsOn = (target: Target): Declarations<RateLimitContext> => ({
  limits: ownLimits(target),
  skip: ownSkip(target),
});

/** Returns the declarations of a class and its ancestors, the furthest ancestor first. */
export function declarationsOnClass(type: Type): readonly Declarations<RateLimitContext>[] {
  const declarations: Declarations<RateLimitContext>[] = [];
  for (
    let at: unknown = type;
    typeof at === 'function' && at !== Function.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    declarations.unshift(declarationsOn(at));
  }
  return declarations;
}

/** Returns true if a class or a method declares anything at all. */
export const hasDeclarations = (target: Target): boolean => {
  const { limits, skip } = declarationsOn(target);
  return limits.length > 0 || skip !== undefined;
};

/** The metadata that Nest and its packages set on handlers; the same in Nest 11 and 12. */
const HANDLER_METADATA: readonly (readonly [string, TransportName])[] = [
  ['path', 'http'],
  ['graphql:resolver_type', 'graphql'],
  ['graphql:resolve_property', 'graphql'],
  ['websockets:message_mapping', 'ws'],
  ['microservices:handler_type', 'rpc'],
];

/** Returns the transport of a handler; undefined for a method that Nest calls for no request and no message. */
export const transportOf = (method: Target): TransportName | undefined =>
  HANDLER_METADATA.find(([key]) => Reflect.hasMetadata(key, method))?.[1];

/** Returns true if a handler resolves a field of a GraphQL type: part of a request that was charged at its root. */
export const isNestedField = (method: Target): boolean =>
  Reflect.hasMetadata('graphql:resolve_property', method) &&
  !Reflect.hasMetadata('graphql:resolver_type', method);

const GUARDS_METADATA = '__guards__';

/** Returns the guards that `@UseGuards` binds to a class or a method, as classes or instances. */
export const boundGuards = (target: Target): readonly unknown[] =>
  (Reflect.getMetadata(GUARDS_METADATA, target) as readonly unknown[] | undefined) ?? [];

/**
 * The role of a guard of this library: it decides; it stands in for one that decides; or it continues after all other
 * guards have run.
 */
export type GuardRole = 'limiting' | 'message' | 'after-guards';

interface Branded {
  readonly [GUARD_BRAND]: GuardRole;
}

/** Returns the role of a guard, given as a class or an instance; undefined for a guard of the application. */
export function guardRole(guard: unknown): GuardRole | undefined {
  const target: unknown = typeof guard === 'function' ? guard.prototype : guard;
  return typeof target === 'object' && target !== null && GUARD_BRAND in target
    ? (target as Branded)[GUARD_BRAND]
    : undefined;
}

const ownBoundGuards = (target: Target): readonly unknown[] =>
  (Reflect.getOwnMetadata(GUARDS_METADATA, target) as readonly unknown[] | undefined) ?? [];

/** Returns true if a guard of the same role is bound already, even one of another copy of the library. */
const isBound = (target: Target, guard: Branded): boolean =>
  ownBoundGuards(target).some((other) => guardRole(other) === guard[GUARD_BRAND]);

/** Binds a guard to a method after all those that it has, once. */
export function bindLastGuard(method: Target, guard: Branded): void {
  if (!isBound(method, guard))
    Reflect.defineMetadata(GUARDS_METADATA, [...boundGuards(method), guard], method);
}

/** Binds a guard to a class before all those that it has, once. */
export function bindFirstGuard(type: Target, guard: Branded): void {
  if (!isBound(type, guard)) Reflect.defineMetadata(GUARDS_METADATA, [guard, ...boundGuards(type)], type);
}

const INTERCEPTORS_METADATA = '__interceptors__';

/** Binds an interceptor to a method, closer to it than all those that it has, once. */
export function bindLastInterceptor(
  method: Target,
  interceptor: { readonly [INTERCEPTOR_BRAND]: true },
): void {
  const bound = (Reflect.getMetadata(INTERCEPTORS_METADATA, method) ?? []) as readonly object[];
  // It may belong to another copy of the library.
  if (bound.some((other) => INTERCEPTOR_BRAND in other)) return;
  Reflect.defineMetadata(INTERCEPTORS_METADATA, [...bound, interceptor], method);
}

/** Returns the guards of running applications for which the message guard of a class stands in, the latest last. */
export const runningGuardsOf = <Guard>(type: Target): Guard[] => {
  let guards = Reflect.getOwnMetadata(RUNNING_GUARDS, type) as Guard[] | undefined;
  if (guards === undefined) {
    guards = [];
    Reflect.defineMetadata(RUNNING_GUARDS, guards, type);
  }
  return guards;
};
