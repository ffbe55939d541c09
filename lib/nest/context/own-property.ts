/** What an object holds itself under a name: `__proto__` and the like are nobody's. */
export const ownProperty = (container: unknown, name: string): unknown =>
  typeof container === 'object' && container !== null && Object.hasOwn(container, name)
    ? (container as Record<string, unknown>)[name]
    : undefined;
