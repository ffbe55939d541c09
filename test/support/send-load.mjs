// Sends requests at a constant rate, whether they are answered or not, as clients do.
import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from './serve.mjs';

const TICK_MS = 10;

const nowMs = () => performance.timeOrigin + performance.now();
const agent = new Agent({ keepAlive: true, maxSockets: 256 });
let answers = [];
let timer;
let underWay = 0;

function ask(turn, { url, clients, paths }) {
  const client = clients[turn % clients.length];
  const path = paths[Math.floor(turn / clients.length) % paths.length];
  const sentMs = nowMs();
  underWay++;
  const end = (status) => {
    underWay--;
    answers.push({ client, path, status, sentMs, atMs: nowMs() });
  };
  get(`${url}${path}`, { agent, headers: { 'x-forwarded-for': client } }, (response) => {
    response.resume();
    response.once('end', () => end(response.statusCode ?? 0));
  }).once('error', () => end(0));
}

serve({
  start(options) {
    const startMs = nowMs();
    let sent = 0;
    timer = setInterval(() => {
      const due = ((nowMs() - startMs) * options.perSecond) / 1_000;
      for (; sent < due; sent++) ask(sent, options);
    }, TICK_MS);
  },
  /** All since it was asked for the last time. */
  answers() {
    const all = answers;
    answers = [];
    return all;
  },
  async stop() {
    clearInterval(timer);
    while (underWay > 0) await sleep(5);
  },
});
