// The doors of the house: what each room under lib/ may import.
// core <- {store, key, http, events, stats} <- plan <- nest <- admin, and those in braces never import one another.

const ROOMS = {
  core: [],
  store: ['core'],
  key: ['core'],
  http: ['core'],
  events: ['core'],
  stats: ['core'],
  plan: ['core', 'store', 'key'],
  nest: ['core', 'store', 'key', 'http', 'events', 'stats', 'plan'],
  admin: ['core', 'store', 'key', 'http', 'events', 'stats', 'plan', 'nest'],
  testing: ['core', 'store'],
};

const doors = Object.entries(ROOMS).map(([room, open]) => ({
  name: `door-of-${room}`,
  severity: 'error',
  from: { path: `^lib/${room}/` },
  to: { path: '^lib/', pathNot: `^lib/(${[room, ...open].join('|')})/` },
}));

module.exports = {
  forbidden: [
    ...doors,
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'only-nest-imports-nest',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/(nest|admin)/' },
      to: { path: '^(node_modules/)?(@nestjs/|rxjs|reflect-metadata)' },
    },
    {
      name: 'only-the-redis-store-imports-ioredis',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/store/redis/' },
      to: { path: '^(node_modules/)?ioredis|^lib/store/redis/' },
    },
    {
      name: 'no-shipped-testing',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/testing/' },
      to: { path: '^lib/testing/' },
    },
    {
      name: 'no-new-rooms',
      comment: 'A room that is not listed above has no doors yet.',
      severity: 'error',
      from: { path: '^lib/(?!index\\.ts$)', pathNot: `^lib/(${Object.keys(ROOMS).join('|')})/` },
      to: {},
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'declared',
      severity: 'error',
      from: { path: '^lib/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        pathNot:
          '^node_modules/(@nestjs/(common|core|websockets|microservices)|ioredis|uplot)/|reflect-metadata|rxjs',
      },
    },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js'],
      conditionNames: ['import', 'node', 'default'],
      exportsFields: ['exports'],
    },
  },
};
