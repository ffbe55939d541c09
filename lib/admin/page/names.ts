/** A limit and what shares its buckets: those of every route, and named scopes, have no other name. */
export const limitName = (name: string, scope: string): string =>
  ['*', name].includes(scope) ? name : `${scope} · ${name}`;
