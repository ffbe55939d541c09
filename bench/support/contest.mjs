// Measures several ways of doing the same work, each in a process of its own, in turn: what the machine does besides
// befalls all of them alike.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const contender = fileURLToPath(new URL('contender.mjs', import.meta.url));

export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** A contender: a process that measures one way, as often as it is asked. */
async function enter(module, way, settings) {
  const child = fork(contender, [module.href, way, JSON.stringify(settings)], { execArgv: ['--expose-gc'] });
  let isOver = false;
  child.once('exit', (code) => {
    if (!isOver) throw new Error(`${way} ended with ${code}.`);
  });
  const ask = async (what) => {
    child.send(what);
    const [answer] = await once(child, 'message');
    return answer;
  };
  await ask('start');
  return {
    measure: () => ask('measure'),
    leave() {
      isOver = true;
      child.disconnect();
    },
  };
}

/**
 * What each way measures, by its name: a list with one entry a round.
 *
 * @param module Exports `ways`: by name, a function of the settings that gives `measure()`.
 */
export async function contest(module, names, settings, rounds, { warm = true } = {}) {
  const entered = [];
  for (const name of names) entered.push({ name, ...(await enter(module, name, settings)) });
  // The first round warms up.
  if (warm) for (const { measure } of entered) await measure();
  const measured = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const { name, measure } of entered) measured[name].push(await measure());
  }
  for (const { leave } of entered) leave();
  return measured;
}

/** The median of the ratios of two ways, round by round. */
export const ratioOf = (of, to) => median(of.map((value, round) => value / to[round]));
