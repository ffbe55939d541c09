import { readFileSync } from 'node:fs';

const MOST_TIMES = 4;
/** Above it a virtual machine has waited for its host long enough to delay single requests by many milliseconds. */
const DISTURBED = 0.03;

/** Time of all processors since the machine started, and what of it its host gave to others. */
function processorTime(): { all: number; stolen: number } {
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
      const now = processorTime();
      const stolen = (now.stolen - before.stolen) / Math.max(1, now.all - before.all);
      if (time === MOST_TIMES || stolen < DISTURBED) throw error;
      console.log(`Once more: the host withheld ${Math.round(100 * stolen)} % of the processors.`, error);
    }
  }
}
