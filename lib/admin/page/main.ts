import { ApiError, api, hasToken, setToken, toSentence } from './api.js';
import { Chart } from './chart.js';
import { ClientView } from './client.js';
import { prepareDialog } from './confirm-dialog.js';
import { byId, setText } from './dom.js';
import { Live, type LiveState } from './live.js';
import { HealthView, StatsView } from './overview.js';
import { hourPoints, Seconds } from './points.js';
import { Poller } from './poll.js';
import { RoutesView } from './routes.js';
import { makeOverflowFocusable } from './table.js';
import { formatDuration, lastHours, setServerTime, tick } from './time.js';

const DAY_HOURS = 24;

const board = byId('board');
const signIn = byId('sign-in');
const signOut = byId('sign-out');
const pause = byId<HTMLButtonElement>('pause');
const token = byId<HTMLInputElement>('token');
const liveBadge = byId('live');
const range = byId<HTMLFormElement>('range');

const chart = new Chart();
const stats = new StatsView();
const health = new HealthView();
const routes = new RoutesView();
const seconds = new Seconds();

let isPaused = false;
let liveState: LiveState = { kind: 'connecting' };
let hours: Parameters<typeof hourPoints>[0] | undefined;

const isIdle = () => isPaused || document.hidden;

/** The time range of the chart in hours; 0 for the live seconds. */
const selectedHours = (): number => Number(new FormData(range).get('hours'));
/** The time range of the tables in hours. */
const tableHours = (): number => selectedHours() || DAY_HOURS;

function draw(): void {
  const length = selectedHours();
  if (length === 0) {
    chart.show({
      kind: 'seconds',
      title: 'The last 5 minutes',
      empty: 'Waiting for the first second …',
      points: seconds.points(),
    });
  } else {
    chart.show({
      kind: 'hours',
      title: `The ${lastHours(length)}`,
      empty: hours === undefined ? 'Loading …' : 'Nothing has been counted yet.',
      points: hourPoints(hours ?? [], length),
    });
  }
}

const LIVE_BADGES: Readonly<Record<LiveState['kind'], readonly [status: string, text: string]>> = {
  connecting: ['idle', 'Connecting …'],
  live: ['good', 'Live'],
  waiting: ['bad', 'Reconnecting'],
};

function showLive(): void {
  const isWaiting = liveState.kind === 'waiting';
  const [status, text] = isPaused && !isWaiting ? ['idle', 'Paused'] : LIVE_BADGES[liveState.kind];
  liveBadge.dataset.status = status;
  setText(liveBadge, text);
  byId('lost').hidden = !isWaiting;
  updateCountdown();
}

/** Updates the time until the next attempt, without announcing it to screen readers. */
function updateCountdown(): void {
  if (liveState.kind !== 'waiting') return;
  setText(byId('lost-why'), liveState.why);
  setText(byId('lost-until'), `Retrying in ${formatDuration(Math.max(0, liveState.untilMs - Date.now()))}.`);
}

function onUnauthorized(error: ApiError): void {
  stop();
  const reason = hasToken() ? `This token was rejected. ${toSentence(error)}` : '';
  setToken('');
  showSignIn(reason);
}

const live = new Live({
  onSecond: (second) => {
    setServerTime(Date.parse(second.at));
    seconds.add(second);
    if (isIdle()) return;
    stats.showSecond(second);
    health.showStatus(second.store);
    if (selectedHours() === 0) draw();
  },
  onState: (state) => {
    liveState = state;
    showLive();
  },
  onUnauthorized,
});

const client = new ClientView(isIdle, onUnauthorized);

const statsPoller = new Poller({
  everyMs: 5_000,
  load: () => api.stats(tableHours()),
  show: (data) => {
    hours = data.hours;
    stats.show(data, tableHours());
    if (selectedHours() !== 0) draw();
  },
  showError: (text) => stats.showError(text),
  onUnauthorized,
  isIdle,
});

const pollers = [
  statsPoller,
  new Poller({
    everyMs: 5_000,
    load: api.health,
    show: (data) => health.show(data),
    showError: (text) => health.showError(text),
    onUnauthorized,
    isIdle,
  }),
  new Poller({
    everyMs: 300_000,
    load: api.limits,
    show: (data) => routes.show(data.routes),
    showError: (text) => routes.showError(text),
    onUnauthorized,
    isIdle,
  }),
  client,
];

/** Sends a single request first, so that a rejected token causes one error and not four. */
async function begin(): Promise<void> {
  try {
    if (hasToken()) await api.health();
    else if (!(await api.isOpen())) return showSignIn('');
  } catch (error) {
    if (error instanceof ApiError && error.isUnauthorized) return onUnauthorized(error);
    // Other errors are shown by the parts of the page that they affect.
  }
  start();
}

function start(): void {
  signIn.hidden = true;
  board.hidden = false;
  pause.hidden = false;
  signOut.hidden = !hasToken();
  draw();
  live.start();
  for (const poller of pollers) poller.start();
}

function stop(): void {
  live.stop();
  for (const poller of pollers) poller.stop();
}

function showSignIn(reason: string): void {
  for (const element of [board, pause, signOut, liveBadge, byId('store')]) element.hidden = true;
  signIn.hidden = false;
  setText(byId('sign-in-error'), reason);
  token.focus();
}

byId<HTMLFormElement>('sign-in-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const value = token.value.trim().replace(/^Bearer\s+/i, '');
  if (!/^[\x21-\x7e]+$/.test(value))
    return showSignIn('A token consists of letters, digits and punctuation.');
  setText(byId('sign-in-error'), '');
  setToken(value);
  token.value = '';
  void begin();
});

signOut.addEventListener('click', () => {
  stop();
  setToken('');
  // Reloading removes the numbers that were shown.
  location.reload();
});

pause.addEventListener('click', () => {
  isPaused = !isPaused;
  pause.setAttribute('aria-pressed', String(isPaused));
  showLive();
  resume();
});

byId('try-now').addEventListener('click', () => live.start());
addEventListener('online', () => {
  if (liveState.kind === 'waiting') live.start();
});
range.addEventListener('change', () => {
  hours = undefined;
  draw();
  statsPoller.start();
});
document.addEventListener('visibilitychange', resume);

function resume(): void {
  if (isIdle() || board.hidden) return;
  draw();
  for (const poller of pollers) poller.start();
}

setInterval(() => {
  updateCountdown();
  if (!isIdle()) tick();
}, 1_000);

prepareDialog();
makeOverflowFocusable();
void begin();
