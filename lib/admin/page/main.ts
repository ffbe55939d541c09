import { ApiError, api, hasToken, sentence, useToken } from './api.js';
import { Chart } from './chart.js';
import { ClientView } from './client.js';
import { prepareDialog } from './confirm-dialog.js';
import { element, say } from './dom.js';
import { Live, type LiveState } from './live.js';
import { HealthView, StatsView } from './overview.js';
import { hourPoints, Seconds } from './points.js';
import { Poller } from './poll.js';
import { RoutesView } from './routes.js';
import { watchLargeTables } from './table.js';
import { formatDuration, lastHours, setServerTime, tick } from './time.js';

const DAY_HOURS = 24;

const board = element('board');
const signIn = element('sign-in');
const signOut = element('sign-out');
const pause = element<HTMLButtonElement>('pause');
const token = element<HTMLInputElement>('token');
const liveBadge = element('live');
const range = element<HTMLFormElement>('range');

const chart = new Chart();
const stats = new StatsView();
const health = new HealthView();
const routes = new RoutesView();
const seconds = new Seconds();

let isPaused = false;
let liveState: LiveState = { kind: 'connecting' };
let hours: Parameters<typeof hourPoints>[0] | undefined;

const rests = () => isPaused || document.hidden;

/** What the chart shows; 0 for the live seconds. */
const chosenHours = (): number => Number(new FormData(range).get('hours'));
/** What the tables are about. */
const countedHours = (): number => chosenHours() || DAY_HOURS;

function draw(): void {
  const length = chosenHours();
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
      empty: hours === undefined ? 'Loading …' : 'No hour is counted yet.',
      points: hourPoints(hours ?? [], length),
    });
  }
}

const LIVE_WORDS: Readonly<Record<LiveState['kind'], readonly [is: string, words: string]>> = {
  connecting: ['idle', 'Connecting …'],
  live: ['good', 'Live'],
  waiting: ['bad', 'Reconnecting'],
};

function showLive(): void {
  const isWaiting = liveState.kind === 'waiting';
  const [is, words] = isPaused && !isWaiting ? ['idle', 'Paused'] : LIVE_WORDS[liveState.kind];
  liveBadge.dataset.is = is;
  say(liveBadge, words);
  element('lost').hidden = !isWaiting;
  countDown();
}

/** Counts the pause before the next attempt down, out of the hearing of screen readers. */
function countDown(): void {
  if (liveState.kind !== 'waiting') return;
  say(element('lost-why'), liveState.why);
  say(
    element('lost-until'),
    `Trying again in ${formatDuration(Math.max(0, liveState.untilMs - Date.now()))}.`,
  );
}

function refused(error: ApiError): void {
  stop();
  const why = hasToken() ? `This token is not let in. ${sentence(error)}` : '';
  useToken('');
  showSignIn(why);
}

const live = new Live({
  second: (second) => {
    setServerTime(Date.parse(second.at));
    seconds.add(second);
    if (rests()) return;
    stats.showSecond(second);
    health.showStatus(second.store);
    if (chosenHours() === 0) draw();
  },
  state: (state) => {
    liveState = state;
    showLive();
  },
  refused,
});

const client = new ClientView(rests, refused);

const statsPoller = new Poller({
  everyMs: 5_000,
  load: () => api.stats(countedHours()),
  show: (answer) => {
    hours = answer.hours;
    stats.show(answer, countedHours());
    if (chosenHours() !== 0) draw();
  },
  showError: (text) => stats.showError(text),
  refused,
  rests,
});

const pollers = [
  statsPoller,
  new Poller({
    everyMs: 5_000,
    load: api.health,
    show: (answer) => health.show(answer),
    showError: (text) => health.showError(text),
    refused,
    rests,
  }),
  new Poller({
    everyMs: 300_000,
    load: api.limits,
    show: (answer) => routes.show(answer.routes),
    showError: (text) => routes.showError(text),
    refused,
    rests,
  }),
  client,
];

/** Asks for one thing first, so that a refusal is one and not four. */
async function begin(): Promise<void> {
  try {
    if (hasToken()) await api.health();
    else if (!(await api.isOpen())) return showSignIn('');
  } catch (error) {
    if (error instanceof ApiError && error.isRefusal) return refused(error);
    // What else is wrong is said where it shows.
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

function showSignIn(why: string): void {
  for (const away of [board, pause, signOut, liveBadge, element('store')]) away.hidden = true;
  signIn.hidden = false;
  say(element('sign-in-error'), why);
  token.focus();
}

element<HTMLFormElement>('sign-in-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const given = token.value.trim().replace(/^Bearer\s+/i, '');
  if (!/^[\x21-\x7e]+$/.test(given)) return showSignIn('A token is made of letters, digits and signs.');
  say(element('sign-in-error'), '');
  useToken(given);
  token.value = '';
  void begin();
});

signOut.addEventListener('click', () => {
  stop();
  useToken('');
  // The numbers that were shown go with the page.
  location.reload();
});

pause.addEventListener('click', () => {
  isPaused = !isPaused;
  pause.setAttribute('aria-pressed', String(isPaused));
  showLive();
  resume();
});

element('try-now').addEventListener('click', () => live.start());
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
  if (rests() || board.hidden) return;
  draw();
  for (const poller of pollers) poller.start();
}

setInterval(() => {
  countDown();
  if (!rests()) tick();
}, 1_000);

prepareDialog();
watchLargeTables();
void begin();
