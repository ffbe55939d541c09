// One way of doing something, measured whenever the parent asks. Ends with its parent.
const [, , module, way, settings] = process.argv;
const { ways } = await import(module);
let entered;
process.on('message', async (what) => {
  if (what === 'start') {
    entered = await ways[way](JSON.parse(settings));
    process.send('ready');
  } else process.send(await entered.measure());
});
process.on('disconnect', () => process.exit());
