import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const MOST_TIMES = 4;
/** Above it a virtual machine has waited for its host long enough to delay single requests by many milliseconds. */
const DISTURBED = 0.03;
const REST_MS = 2_000;
const MOST_RESTS = 15;

interface ProcessorTime {
  readonly all: number;
  readonly stolen: number;
}

/** Time of all processors since the machine started, and what of it its host gave to others. */
function processorTime(): ProcessorTime {
  try {
    const [, ...ticks] = (readFileSync('/proc/stat', 'utf8').split('\n')[0] as string)
      .split(/\s+/)
      .map(Number);
    // user, nice, system, idle, iowait, irq, softirq, steal: proc_stat(5)
    const counted = ticks.slice(0, 8);
    return { all: counted.reduce((sum, tick) => sum + tick, 0), stolen: counted[7] ?? 0 };
  } catch {
    return { all: 1, stolen: 0 };
  }
}

/** What share of the processors the host has withheld since then. */
function withheldSince(before: ProcessorTime): number {
  const now = processorTime();
  return (now.stolen - before.stolen) / Math.max(1, now.all - before.all);
}

/** Waits until the host withholds nothing, for half a minute at most. */
async function rest(): Promise<void> {
  for (let i = 0; i < MOST_RESTS; i++) {
    const before = processorTime();
    await sleep(REST_MS);
    if (withheldSince(before) < DISTURBED) return;
  }
}

/**
 * Measures in real time. What fails while the host of a virtual machine withheld processors is measured once more,
 * at most three times, with the same bars; what fails on a machine that had its time fails at once.
 */
export async function undisturbed(measure: () => Promise<void>): Promise<void> {
  for (let time = 1; ; time++) {
    const before = processorTime();
    try {
      await measure();
      return;
    } catch (error) {
      const withheld = withheldSince(before);
      if (time === MOST_TIMES || withheld < DISTURBED) throw error;
      console.log(
        `Once more: the host withheld ${Math.round(100 * withheld)} % of the processors. ${String(error)}`,
      );
      await rest();
    }
  }
}
