// Serves the built sample, uses it and closes it, and then has to end by itself.
import { MemoryStore } from 'nestjs-ratelimit';
import { createShop } from '../../sample-app/dist/app.js';

const store = new MemoryStore();
const app = await createShop({ platform: process.argv[2], store, logger: ['error'] });
await app.listen(0, '127.0.0.1');
const response = await fetch(`${await app.getUrl()}/pages`, { headers: { connection: 'close' } });
await response.arrayBuffer();
console.log(`used, with ${store.size} buckets`);
await app.close();
console.log('closed');
// Fires only when something else keeps the process alive.
setTimeout(() => {
  console.log(`still alive, with ${process.getActiveResourcesInfo().join(', ')}`);
  process.exit(1);
}, 10_000).unref();
