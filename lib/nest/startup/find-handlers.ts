import type { Type } from '@nestjs/common';
import { APP_GUARD, type ApplicationConfig, MetadataScanner, type ModulesContainer } from '@nestjs/core';
import type { RouteDeclaration } from '../../plan/compile.js';
import type { GuardOverrides } from '../../plan/plan.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { TransportName } from '../context/transports.js';
import {
  boundGuards,
  declarationsOn,
  declarationsOnClass,
  type GuardRole,
  guardRole,
  hasDeclarations,
  isNestedField,
  transportOf,
} from '../handlers/metadata.js';
import { GUARD_BRAND } from '../handlers/tokens.js';

/** A method that Nest calls for requests or messages, and its class. */
export interface Handler {
  /** `Class.method`. */
  readonly name: string;
  readonly type: Type;
  readonly method: object;
  readonly transport: TransportName;
  readonly route: RouteDeclaration<RateLimitContext>;
}

/** The handlers of an application. */
export interface Handlers {
  readonly all: readonly Handler[];
  /** Methods that declare limits but are never called for a request, and classes without any handler. */
  readonly uncalled: readonly string[];
}

export const routeDeclaration = (
  type: Type,
  method: object,
  methodName: string,
  moduleName: string,
): RouteDeclaration<RateLimitContext> => ({
  classRef: type,
  module: moduleName,
  class: type.name,
  method: methodName,
  classes: declarationsOnClass(type),
  handler: declarationsOn(method),
  inherits: !isNestedField(method),
});

/** Nest's record of a provider or controller, as far as its class goes. */
interface Wrapper {
  readonly metatype: unknown;
  readonly isNotMetatype: boolean;
  readonly instance: unknown;
}

/** Returns the class of a provider: the one that Nest instantiates, or that of a value. */
export function providerClass({ metatype, isNotMetatype, instance }: Wrapper): Type | null {
  const type: unknown = isNotMetatype ? (instance as object | null | undefined)?.constructor : metatype;
  return typeof type === 'function' && type.prototype !== undefined && type !== Object
    ? (type as Type)
    : null;
}

/** Returns the classes whose messages global guards may not reach. */
export const messageHandlerClasses = (routes: readonly { readonly handler: Handler }[]): ReadonlySet<Type> =>
  new Set(
    routes
      .filter(({ handler: { transport } }) => transport === 'ws' || transport === 'rpc')
      .map(({ handler }) => handler.type),
  );

/** Finds the handlers of an application, inherited ones included. */
export function findHandlers(modules: ModulesContainer): Handlers {
  const scanner = new MetadataScanner();
  const moduleNames = new Map<Type, string>();
  for (const { name, controllers, providers } of modules.values()) {
    for (const wrapper of [...controllers.values(), ...providers.values()]) {
      const type = providerClass(wrapper);
      if (type === null) continue;
      // A class in several modules has one plan; its name must not depend on the order of imports.
      const known = moduleNames.get(type);
      if (known === undefined || name < known) moduleNames.set(type, name);
    }
  }
  const all: Handler[] = [];
  const uncalled: string[] = [];
  for (const [type, moduleName] of moduleNames) {
    let hasHandlers = false;
    for (const methodName of scanner.getAllMethodNames(type.prototype)) {
      const method = type.prototype[methodName] as object;
      const transport = transportOf(method);
      const name = `${type.name}.${methodName}`;
      if (transport !== undefined) {
        hasHandlers = true;
        all.push({
          name,
          type,
          method,
          transport,
          route: routeDeclaration(type, method, methodName, moduleName),
        });
      } else if (hasDeclarations(method)) uncalled.push(name);
    }
    if (!hasHandlers && hasDeclarations(type)) uncalled.push(type.name);
  }
  return { all, uncalled };
}

/** Returns the guards of a call in the order that Nest runs them: global ones, the class's, the method's. */
const guardsOf = (config: ApplicationConfig, type: Type, method: object): readonly unknown[] => [
  ...globalGuards(config),
  ...boundGuards(type),
  ...boundGuards(method),
];

const globalGuards = (config: ApplicationConfig): readonly unknown[] => [
  ...config.getGlobalGuards(),
  ...config.getGlobalRequestGuards().map((wrapper) => wrapper.metatype),
];

const LIMITING_ROLES: readonly (GuardRole | undefined)[] = ['limiting', 'message'];

const nameOfGuard = (guard: unknown): string =>
  (typeof guard === 'function' ? guard : (guard as object).constructor).name;

/** Returns the name of a guard of the application that runs after ours, and may set the user; null if there is none. */
export function followingGuard(config: ApplicationConfig, type: Type, method: object): string | null {
  const guards = guardsOf(config, type, method);
  const first = guards.findIndex((guard) => LIMITING_ROLES.includes(guardRole(guard)));
  const following = guards.findIndex((guard, at) => at > first && guardRole(guard) === undefined);
  return first < 0 || following < 0 ? null : nameOfGuard(guards[following]);
}

/** Returns the classes of the guards that decide the limits of a method, in the order that Nest runs them. */
export const limitingGuards = (config: ApplicationConfig, type: Type, method: object): readonly unknown[] =>
  guardsOf(config, type, method)
    .filter((guard) => guardRole(guard) === 'limiting')
    .map((guard) => (typeof guard === 'function' ? guard : (guard as object).constructor));

/** Returns the prototype of `RateLimitGuard` that a guard inherits from, of whatever copy of the library. */
function libraryPrototype(prototype: object): object {
  return Object.hasOwn(prototype, GUARD_BRAND)
    ? prototype
    : libraryPrototype(Object.getPrototypeOf(prototype) as object);
}

const isLimiting = (guard: unknown): guard is object => guardRole(guard) === 'limiting';

/**
 * Returns the decisions that guards of the application, subclasses of `RateLimitGuard`, take over. A global guard whose
 * factory has not run yet may exempt clients.
 */
export function guardOverrides(modules: ModulesContainer): GuardOverrides {
  let exempts = false;
  let identifies = false;
  for (const { providers, injectables } of modules.values()) {
    for (const { token, metatype, instance, inject, isAlias } of [
      ...providers.values(),
      ...injectables.values(),
    ]) {
      if (isLimiting(metatype) || isLimiting(instance)) {
        const own = isLimiting(instance) ? instance : (metatype as Type<object>).prototype;
        const base = libraryPrototype(own) as Record<string, unknown>;
        exempts ||= (own as typeof base).shouldSkip !== base.shouldSkip;
        identifies ||= (own as typeof base).identity !== base.identity;
      } else if (inject && !isAlias && !instance && String(token).startsWith(APP_GUARD)) {
        exempts = true;
      }
    }
  }
  return { exempts, identifies };
}
