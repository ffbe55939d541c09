import { type Clock, steadyClock } from '../core/clock.js';
import { type ErrorReporter, REPORT_INTERVAL_MS } from '../core/error-reporter.js';
import type { StoreEvent } from './options.js';

const SOURCE = 'store';

/**
 * Creates a listener that logs when the store starts to fail and when it works again: once for each outage, and at
 * most once a minute for outages that follow each other.
 */
export function createOutageLog(
  report: ErrorReporter,
  info: (message: string) => void,
  clock: Clock = steadyClock,
): (event: StoreEvent) => void {
  const failingShards = new Set<string>();
  let reportedAtMs = Number.NEGATIVE_INFINITY;
  /** True once the start of the current outage is logged. */
  let isReported = false;
  let suppressed = 0;

  const onBreaker = ({ shard, state, cause }: Extract<StoreEvent, { kind: 'breaker' }>): void => {
    if (state === 'closed') failingShards.delete(shard);
    if (state !== 'open') return;
    if (failingShards.size === 0) {
      isReported = false;
      suppressed++;
    }
    const isNew = !failingShards.has(shard);
    failingShards.add(shard);
    const nowMs = clock.now();
    // An outage that began too soon after the last report is reported when it lasts.
    if (isReported ? !isNew : nowMs - reportedAtMs < REPORT_INTERVAL_MS) return;
    if (!isReported) {
      isReported = true;
      reportedAtMs = nowMs;
      suppressed--;
    }
    const where = shard === '' ? '' : ` at ${shard}`;
    report(SOURCE, `The store${where} is failing. Limits are decided without it, by their failMode.`, cause);
  };

  const onRecovered = ({ afterMs, degraded }: Extract<StoreEvent, { kind: 'recovered' }>): void => {
    if (!isReported) return;
    const more =
      suppressed === 0 ? '' : ` Outages since the last report that were not logged: ${suppressed}.`;
    suppressed = 0;
    const seconds = Math.ceil(afterMs / 1_000);
    info(
      `${SOURCE}: The store works again after ${seconds} s. Requests decided without it: ${degraded}.${more}`,
    );
  };

  return (event) => {
    if (event.kind === 'breaker') onBreaker(event);
    else if (event.kind === 'recovered') onRecovered(event);
    // During an outage, its report says enough.
    else if (event.cause !== null && failingShards.size === 0)
      report(SOURCE, 'The store failed a request. Its limits were decided by their failMode.', event.cause);
  };
}
