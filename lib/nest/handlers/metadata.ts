import 'reflect-metadata';
import type { Type } from '@nestjs/common';
import type { RateLimitEventName } from '../../observe/events.js';
import type { Declarations } from '../../plan/compile.js';
import type { DeclaredLimit, SkipDeclaration } from '../../plan/options.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { TransportName } from '../context/transports/transport.js';
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

/** Notes a limit. Decorators are applied from the bottom up, so each goes before those noted already. */
export function addLimit(target: Target, declaration: DeclaredLimit<RateLimitContext>): void {
  Reflect.defineMetadata(LIMITS_METADATA, [declaration, ...ownLimits(target)], target);
}

/** Notes a skip; several add up. */
export function addSkip(target: Target, skip: SkipDeclaration): void {
  const before = ownSkip(target);
  const both = skip === 'all' || before === 'all' ? 'all' : [...skip, ...(before ?? [])];
  Reflect.defineMetadata(SKIP_METADATA, both, target);
}

/** Notes the events that a method listens to; several decorators add up. */
export function addListener(method: Target, names: readonly RateLimitEventName[]): void {
  Reflect.defineMetadata(EVENTS_METADATA, [...listenedEvents(method), ...names], method);
}

/** The events that a method listens to. */
export const listenedEvents = (method: Target): readonly RateLimitEventName[] =>
  (Reflect.getOwnMetadata(EVENTS_METADATA, method) as readonly RateLimitEventName[] | undefined) ?? [];

/** What a class or a method declares itself. */
export const declarationsOn = (target: Target): Declarations<RateLimitContext> => ({
  limits: ownLimits(target),
  skip: ownSkip(target),
});

/** What a class and those it inherits from declare, the furthest first. */
export function declarationsOnClass(type: Type): readonly Declarations<RateLimitContext>[] {
  const found: Declarations<RateLimitContext>[] = [];
  for (
    let at: unknown = type;
    typeof at === 'function' && at !== Function.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    found.unshift(declarationsOn(at));
  }
  return found;
}

/** Whether a class or a method declares anything at all. */
export const hasDeclarations = (target: Target): boolean => {
  const { limits, skip } = declarationsOn(target);
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
export const transportOf = (method: Target): TransportName | undefined =>
  HANDLER_METADATA.find(([key]) => Reflect.hasMetadata(key, method))?.[1];

/** Whether a handler resolves a field of a GraphQL type: part of a request that was charged at its root. */
export const isNestedField = (method: Target): boolean =>
  Reflect.hasMetadata('graphql:resolve_property', method) &&
  !Reflect.hasMetadata('graphql:resolver_type', method);

const GUARDS_METADATA = '__guards__';

/** The guards that `@UseGuards` binds to a class or a method, as classes or instances. */
export const boundGuards = (target: Target): readonly unknown[] =>
  (Reflect.getMetadata(GUARDS_METADATA, target) as readonly unknown[] | undefined) ?? [];

/**
 * What a guard of this library is for: deciding; standing in for one that decides; or finishing once all
 * other guards have run.
 */
export type GuardRole = 'limiting' | 'message' | 'after-guards';

interface Branded {
  readonly [GUARD_BRAND]: GuardRole;
}

/** The role of a guard, given as a class or an instance; undefined for one of somebody else. */
export function guardRole(guard: unknown): GuardRole | undefined {
  const target: unknown = typeof guard === 'function' ? guard.prototype : guard;
  return typeof target === 'object' && target !== null && GUARD_BRAND in target
    ? (target as Branded)[GUARD_BRAND]
    : undefined;
}

const ownBoundGuards = (target: Target): readonly unknown[] =>
  (Reflect.getOwnMetadata(GUARDS_METADATA, target) as readonly unknown[] | undefined) ?? [];

/** Whether a guard of the same role is bound already, be it of another copy of the library. */
const isBound = (target: Target, guard: Branded): boolean =>
  ownBoundGuards(target).some((other) => guardRole(other) === guard[GUARD_BRAND]);

/** Binds a guard to a method behind all those it has, once. */
export function bindLastGuard(method: Target, guard: Branded): void {
  if (!isBound(method, guard))
    Reflect.defineMetadata(GUARDS_METADATA, [...boundGuards(method), guard], method);
}

/** Binds a guard to a class ahead of all those it has, once. */
export function bindFirstGuard(type: Target, guard: Branded): void {
  if (!isBound(type, guard)) Reflect.defineMetadata(GUARDS_METADATA, [guard, ...boundGuards(type)], type);
}

const INTERCEPTORS_METADATA = '__interceptors__';

/** Binds an interceptor to a method closer to it than all those it has, once. */
export function bindLastInterceptor(
  method: Target,
  interceptor: { readonly [INTERCEPTOR_BRAND]: true },
): void {
  const bound = (Reflect.getMetadata(INTERCEPTORS_METADATA, method) ?? []) as readonly object[];
  // It may be of another copy of the library.
  if (bound.some((other) => INTERCEPTOR_BRAND in other)) return;
  Reflect.defineMetadata(INTERCEPTORS_METADATA, [...bound, interceptor], method);
}

/** The guards of running applications that stand behind the entry guard of a class, the latest last. */
export const runningGuardsOf = <Guard>(type: Target): Guard[] => {
  let entered = Reflect.getOwnMetadata(RUNNING_GUARDS, type) as Guard[] | undefined;
  if (entered === undefined) {
    entered = [];
    Reflect.defineMetadata(RUNNING_GUARDS, entered, type);
  }
  return entered;
};
