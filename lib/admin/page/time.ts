import { make } from './dom.js';

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dayAndClock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** How far the server's clock is ahead of this one. */
let aheadMs = 0;

/** Takes the server's time from what it sent just now; less than what a network makes of it is no difference. */
export function setServerTime(ms: number): void {
  const difference = ms - Date.now();
  aheadMs = Math.abs(difference) < 3_000 ? 0 : difference;
}

export const serverNow = (): number => Date.now() + aheadMs;

export const clockOf = (ms: number): string => clock.format(ms);

/** A moment by the clock, with its day when that is not today. */
function moment(ms: number): string {
  const isToday = new Date(ms).toDateString() === new Date().toDateString();
  return isToday ? clock.format(ms) : dayAndClock.format(ms);
}

/** A length of time in its two largest units. */
export function formatDuration(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  const units: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor((seconds % 86_400) / 3_600), 'h'],
    [Math.floor((seconds % 3_600) / 60), 'min'],
    [seconds % 60, 's'],
  ];
  const first = units.findIndex(([value]) => value > 0);
  return first < 0
    ? '0 s'
    : units
        .slice(first, first + 2)
        .filter(([value]) => value > 0)
        .map(([value, unit]) => `${value} ${unit}`)
        .join(' ');
}

export const lastHours = (hours: number): string =>
  hours > 24 ? `last ${hours / 24} days` : `last ${hours} hours`;

function untilInWords(iso: string): string {
  const ms = Date.parse(iso);
  return ms <= serverNow() ? 'now' : `in ${formatDuration(ms - serverNow())}, ${moment(ms)}`;
}

/** A moment to come, which `tick` counts down. */
export const until = (iso: string): HTMLTimeElement =>
  make('time', { datetime: iso, 'data-until': '' }, untilInWords(iso));

/** Counts all moments to come down. */
export function tick(): void {
  for (const time of document.querySelectorAll<HTMLTimeElement>('time[data-until]')) {
    time.textContent = untilInWords(time.dateTime);
  }
}
