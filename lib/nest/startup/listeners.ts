import type { Type } from '@nestjs/common';
import { MetadataScanner, type ModulesContainer } from '@nestjs/core';
import { configError, describeValue } from '../../core/errors.js';
import { EVENT_NAMES, type RateLimitEventName, type RateLimitEvents } from '../../observe/events.js';
import { listenedEvents } from '../handlers/metadata.js';
import { providerClass } from './find-handlers.js';

type Methods = Readonly<Record<string, (event: unknown) => unknown>>;

interface Listening {
  readonly method: string;
  readonly names: readonly RateLimitEventName[];
}

/** Returns the methods of a class with `@OnRateLimit`; throws `bad-option` for an unknown event. */
function listeningIn(type: Type): readonly Listening[] {
  const listening: Listening[] = [];
  for (const method of new MetadataScanner().getAllMethodNames(type.prototype)) {
    const names = listenedEvents((type.prototype as Methods)[method] as object);
    if (names.length > 0) listening.push({ method, names });
    const unknown = names.find((name) => !EVENT_NAMES.includes(name));
    if (unknown === undefined) continue;
    throw configError(
      'bad-option',
      `${type.name}.${method} listens to ${describeValue(unknown)}, which is not an event.`,
      `The events are ${EVENT_NAMES.join(', ')}.`,
    );
  }
  return listening;
}

/**
 * Subscribes the methods of providers and controllers with `@OnRateLimit`, once all instances exist.
 *
 * @throws RateLimitConfigError `bad-option` for an unknown event, or a request-scoped class.
 */
export function connectListeners(modules: ModulesContainer, events: RateLimitEvents): void {
  // Several providers may be one instance, as with useExisting.
  const connected = new Set<unknown>();
  for (const { controllers, providers } of modules.values()) {
    for (const wrapper of [...controllers.values(), ...providers.values()]) {
      const type = providerClass(wrapper);
      const listening = type === null ? [] : listeningIn(type);
      if (type === null || listening.length === 0 || connected.has(wrapper.instance)) continue;
      if (!wrapper.isDependencyTreeStatic()) {
        throw configError(
          'bad-option',
          `${type.name} listens to events, but it is instantiated for each request.`,
          'Listen in a provider of the default scope.',
        );
      }
      connected.add(wrapper.instance);
      const instance = wrapper.instance as Methods;
      for (const { method, names } of listening) {
        for (const name of names) events.on(name, (event) => instance[method]?.(event));
      }
    }
  }
}
