/** Returns a limit's name with its scope, unless the limit applies to every route or is named after its scope. */
export const limitName = (name: string, scope: string): string =>
  ['*', name].includes(scope) ? name : `${scope} · ${name}`;
