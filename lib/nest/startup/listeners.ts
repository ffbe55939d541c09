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

/** The methods of a class that `@OnRateLimit` is on; throws `bad-option` for an event that there is not. */
function listeningIn(type: Type): readonly Listening[] {
  const found: Listening[] = [];
  for (const method of new MetadataScanner().getAllMethodNames(type.prototype)) {
    const names = listenedEvents((type.prototype as Methods)[method] as object);
    if (names.length > 0) found.push({ method, names });
    const unknown = names.find((name) => !EVENT_NAMES.includes(name));
    if (unknown === undefined) continue;
    throw configError(
      'bad-option',
      `${type.name}.${method} listens to ${describeValue(unknown)}, which is no event.`,
      `The events are ${EVENT_NAMES.join(', ')}.`,
    );
  }
  return found;
}

/**
 * Has the methods of providers and controllers called that `@OnRateLimit` is on, once all of them are made.
 *
 * @throws RateLimitConfigError `bad-option` for an event that there is not, or a class that is made for each request.
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
          `${type.name} listens to events, but an instance of it is made for each request.`,
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
