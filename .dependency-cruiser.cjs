// The doors of the house: what each room under lib/ may import. Imports point to the left only:
// core <- {identity, store, http} <- {resilience, plan} <- limiter <- observe <- nest <- admin, and within nest
// context <- handlers <- request <- startup. Rooms in braces never import one another.

const FLOORS = [
  ['core'],
  ['identity', 'store', 'http'],
  ['resilience', 'plan'],
  ['limiter'],
  ['observe'],
  ['nest'],
  ['admin'],
];
const ROOMS = FLOORS.flat();
const NEST = ['context', 'handlers', 'request', 'startup'];
/** For users' tests; nothing that is shipped imports it. */
const TESTING = ['core', 'store'];

const PEERS = Object.keys(require('./package.json').peerDependencies);

const door = (room, from, to, open) => ({
  name: `door-of-${room.replace('/', '-')}`,
  severity: 'error',
  from: { path: from },
  to: { path: to, pathNot: open },
});

const doors = FLOORS.flatMap((floor, at) => {
  const left = FLOORS.slice(0, at).flat();
  return floor.map((room) => door(room, `^lib/${room}/`, '^lib/', `^lib/(${[room, ...left].join('|')})/`));
});
const nestDoors = NEST.map((room, at) =>
  door(`nest/${room}`, `^lib/nest/${room}/`, '^lib/nest/', `^lib/nest/(${NEST.slice(0, at + 1).join('|')})/`),
);

module.exports = {
  forbidden: [
    ...doors,
    ...nestDoors,
    {
      name: 'door-of-testing',
      severity: 'error',
      from: { path: '^lib/testing/' },
      to: { path: '^lib/', pathNot: `^lib/(${['testing', ...TESTING].join('|')})/` },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'only-nest-imports-nest',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/(nest|admin)/' },
      to: { path: '^(node_modules/)?(@nestjs/|rxjs|reflect-metadata)' },
    },
    {
      name: 'stores-stand-alone',
      comment: 'Only an entry point of its own leads to a store, but for the one in memory.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/store/[^/]+/' },
      to: { path: '^lib/store/(?!memory/)[^/]+/' },
    },
    {
      name: 'stores-import-no-other-store',
      severity: 'error',
      from: { path: '^lib/store/([^/]+)/' },
      to: { path: '^lib/store/(?!memory/)[^/]+/', pathNot: '^lib/store/$1/' },
    },
    {
      name: 'only-its-driver-imports-ioredis',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/store/redis/ioredis\\.ts$' },
      to: { path: '^(node_modules/)?ioredis' },
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
      from: {
        path: '^lib/(?!index\\.ts$)',
        pathNot: `^lib/(${[...ROOMS.filter((room) => room !== 'nest'), 'testing', ...NEST.map((room) => `nest/${room}`)].join('|')})/`,
      },
      to: {},
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'declared',
      severity: 'error',
      from: { path: '^lib/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        pathNot: `^node_modules/(${[...PEERS, 'uplot'].join('|')})/`,
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
