// Stands between a store and its server, and is as bad as a network can be. Arguments: host and port of the server.
import { createServer, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from '../serve.mjs';

const [, , host, port] = process.argv;

let way = { delayMs: 0 };
/** The number of script calls by clients. */
let calls = 0;
/** When everything that came for a socket has been handed on. */
const handed = new WeakMap();

/** Hands on in the order in which it came, also when the delay has become shorter meanwhile. */
function hand(data, to) {
  if (way === 'silent') return;
  const dueMs = performance.now() + (way === 'resets' ? 0 : way.delayMs / 2);
  const before = handed.get(to) ?? Promise.resolve();
  handed.set(
    to,
    before.then(async () => {
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      if (to.writable) to.write(data);
    }),
  );
}

const listening = createServer((client) => {
  const server = new Socket();
  for (const [socket, other] of [
    [client, server],
    [server, client],
  ]) {
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.once('close', () => other.destroy());
  }
  server.connect(Number(port), host);
  client.on('data', (data) => {
    calls += String(data).split(/evalsha/i).length - 1;
    hand(data, server);
  });
  server.on('data', (data) => {
    if (way === 'resets') client.write(data.subarray(0, data.length / 2), () => client.resetAndDestroy());
    else hand(data, client);
  });
});
await new Promise((resolve) => listening.listen(0, '127.0.0.1', resolve));

serve({
  port: () => listening.address().port,
  calls: () => calls,
  become: (next) => {
    way = next;
  },
});
