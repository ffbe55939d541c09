// Serves the built sample, uses it and closes it, and then has to end by itself.
// Arguments: the platform, and the URL of a Redis, which need not answer.
import { MemoryStore } from 'nestjs-ratelimit';
import { RedisStore } from 'nestjs-ratelimit/redis';
import { createShop } from '../../sample-app/dist/app.js';

const [, , platform, url] = process.argv;
const store = url === undefined ? new MemoryStore() : new RedisStore({ url });
const app = await createShop({ platform, store, logger: [] });
await app.listen(0, '127.0.0.1');
const ask = async () => {
  const response = await fetch(`${await app.getUrl()}/pages`, { headers: { connection: 'close' } });
  await response.arrayBuffer();
  return response.status;
};
console.log(`used: ${await ask()}${url === undefined ? `, with ${store.size} buckets` : ''}`);
// Has reached the application when that closes.
const reached = new Promise((resolve) => app.getHttpServer().once('request', resolve));
const last = ask();
await reached;
await app.close();
console.log(`answered: ${await last}`);
console.log('closed');
// Fires only when something else keeps the process alive.
setTimeout(() => {
  console.log(`still alive, with ${process.getActiveResourcesInfo().join(', ')}`);
  process.exit(1);
}, 10_000).unref();
