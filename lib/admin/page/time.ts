import { make } from './dom.js';

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dayAndClock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** Difference between the server's clock and this one. */
let serverAheadMs = 0;

/** Takes over the server's time from a message that has just arrived. Differences that network latency explains are ignored. */
export function setServerTime(ms: number): void {
  const difference = ms - Date.now();
  serverAheadMs = Math.abs(difference) < 3_000 ? 0 : difference;
}

export const serverNow = (): number => Date.now() + serverAheadMs;

export const formatClock = (ms: number): string => clock.format(ms);

/** Formats a time, with its date unless that is today. */
function formatMoment(ms: number): string {
  const isToday = new Date(ms).toDateString() === new Date().toDateString();
  return isToday ? clock.format(ms) : dayAndClock.format(ms);
}

/** Formats a duration in its two largest units. */
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

function formatUntil(iso: string): string {
  const ms = Date.parse(iso);
  return ms <= serverNow() ? 'now' : `in ${formatDuration(ms - serverNow())}, ${formatMoment(ms)}`;
}

/** Creates a countdown to a future time, which `tick` updates. */
export const countdown = (iso: string): HTMLTimeElement =>
  make('time', { datetime: iso, 'data-until': '' }, formatUntil(iso));

/** Updates all countdowns. */
export function tick(): void {
  for (const time of document.querySelectorAll<HTMLTimeElement>('time[data-until]')) {
    time.textContent = formatUntil(time.dateTime);
  }
}
