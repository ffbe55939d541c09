import type { Type } from '@nestjs/common';
import { MetadataScanner, type ModulesContainer } from '@nestjs/core';
import type { RouteDeclaration } from '../../plan/compile.js';
import type { RateLimitContext } from '../context/call-context.js';
import type { TransportName } from '../context/transports/transport.js';
import {
  declarationsOn,
  declarationsOnClass,
  hasDeclarations,
  isNestedField,
  transportOf,
} from '../handlers/metadata.js';

/** A method that Nest calls for requests or messages, and the class it calls it on. */
export interface Handler {
  /** `Class.method`. */
  readonly name: string;
  readonly type: Type;
  readonly method: object;
  readonly transport: TransportName;
  readonly route: RouteDeclaration<RateLimitContext>;
}

/** What a search of an application has found. */
export interface Handlers {
  readonly all: readonly Handler[];
  /** Methods, and classes without any other, that are limited but never called for a request. */
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

/** What Nest keeps of a provider or controller, as far as its class goes. */
interface Wrapper {
  readonly metatype: unknown;
  readonly isNotMetatype: boolean;
  readonly instance: unknown;
}

/** The class of a provider: the one that Nest makes instances of, or that of a value. */
export function providerClass({ metatype, isNotMetatype, instance }: Wrapper): Type | null {
  const type: unknown = isNotMetatype ? (instance as object | null | undefined)?.constructor : metatype;
  return typeof type === 'function' && type.prototype !== undefined && type !== Object
    ? (type as Type)
    : null;
}

/** The classes whose messages global guards may not reach. */
export const messageHandlerClasses = (handlers: readonly Handler[]): ReadonlySet<Type> =>
  new Set(
    handlers.filter(({ transport }) => transport === 'ws' || transport === 'rpc').map(({ type }) => type),
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
