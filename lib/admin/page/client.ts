import { type ApiError, api, type Bucket, type Client } from './api.js';
import { type Ask, ask } from './confirm-dialog.js';
import { count, element, make, say } from './dom.js';
import { limitName } from './names.js';
import { Poller } from './poll.js';
import { Table } from './table.js';
import { until } from './time.js';

const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;
const IPV6 = /^[\da-f]*:[\da-f:.]*:[\da-f:.]*(\/\d{1,3})?$/i;

/** An identity of a kind, unless it is written with its kind already. */
export const identityOf = (kind: 'ip' | 'user', value: string): string =>
  value.startsWith(`${kind}:`) ? value : `${kind}:${value}`;

/** What somebody typed: addresses may be written without their kind. */
const identityIn = (text: string): string => (IPV4.test(text) || IPV6.test(text) ? `ip:${text}` : text);

const HASH = '#client=';
const hashOf = (identity: string): string => HASH + encodeURIComponent(identity);

function identityInHash(): string | undefined {
  if (!location.hash.startsWith(HASH)) return undefined;
  try {
    return decodeURIComponent(location.hash.slice(HASH.length)) || undefined;
  } catch {
    return undefined;
  }
}

/** A link that looks a client up. */
export const clientLink = (identity: string, text: string): HTMLAnchorElement =>
  make('a', { href: hashOf(identity) }, text);

function left({ remaining, limit }: Bucket): Node {
  const text = `${count(remaining)} of ${count(limit)}`;
  const meter = make('meter', {
    min: '0',
    max: String(Math.max(1, limit)),
    low: String(limit * 0.25),
    optimum: String(Math.max(1, limit)),
    value: String(remaining),
    // The text beside it says the same.
    'aria-hidden': 'true',
  });
  return make('span', { class: 'left' }, meter, make('span', {}, text));
}

function nextUnit({ remaining, limit, next_unit_at }: Bucket): string | Node {
  if (next_unit_at !== null) return until(next_unit_at);
  return remaining >= limit && limit > 0 ? 'full' : 'never';
}

/** One client: its buckets, and what can be done about it. */
export class ClientView {
  readonly #field = element<HTMLInputElement>('identity');
  readonly #card = element('client-card');
  readonly #name = element('client-name');
  readonly #blocked = element('client-blocked');
  readonly #result = element('client-result');
  readonly #state = element('client-state');
  readonly #buckets = new Table<Bucket>({
    id: 'buckets',
    empty: 'No bucket can be told for this client.',
    key: ({ scope, name, tier }) => `${scope}\n${name}\n${tier}`,
    cells: (bucket) => [
      bucket.tier === null
        ? limitName(bucket.name, bucket.scope)
        : `${limitName(bucket.name, bucket.scope)} (${bucket.tier})`,
      left(bucket),
      nextUnit(bucket),
      bucket.reset_at === null ? 'full' : until(bucket.reset_at),
      bucket.blocked_until === null ? 'no' : until(bucket.blocked_until),
    ],
  });
  readonly #poller: Poller<Client>;
  #identity: string | undefined;
  /** Whether somebody waits for it, also while the page rests. */
  #isWanted = false;
  /** Whether the name is still to get the focus. */
  #isNew = false;

  constructor(rests: () => boolean, refused: (error: ApiError) => void) {
    this.#poller = new Poller({
      everyMs: 3_000,
      load: () => api.client(this.#identity as string),
      show: (client) => this.#show(client),
      showError: (text) => {
        this.#isWanted = false;
        say(this.#state, text);
      },
      refused,
      rests: () => rests() && !this.#isWanted,
    });
    element<HTMLFormElement>('search').addEventListener('submit', (event) => {
      event.preventDefault();
      const identity = identityIn(this.#field.value.trim());
      if (identity === '') return;
      if (location.hash === hashOf(identity)) this.#open();
      else location.hash = hashOf(identity);
    });
    addEventListener('hashchange', () => {
      if (identityInHash() !== undefined) this.#open();
    });
    element('block').addEventListener('click', () => this.#block());
    element('unblock').addEventListener('click', () => this.#unblock());
    element('reset').addEventListener('click', () => this.#reset());
  }

  /** Shows the client that the address names. */
  start(): void {
    if (this.#identity !== undefined) this.#poller.start();
    else if (identityInHash() !== undefined) this.#open();
  }

  stop(): void {
    this.#poller.stop();
  }

  #open(): void {
    this.#identity = identityInHash();
    if (this.#identity === undefined) return;
    this.#field.value = this.#identity;
    this.#card.hidden = true;
    this.#isWanted = true;
    this.#isNew = true;
    this.#buckets.clear('');
    say(this.#result, '');
    say(this.#state, `Looking ${this.#identity} up …`);
    this.#poller.start();
  }

  #show({ identity, blocked_until, buckets }: Client): void {
    say(this.#state, '');
    say(this.#name, identity);
    this.#blocked.replaceChildren(
      ...(blocked_until === null
        ? ['Not blocked.']
        : [make('strong', {}, 'Blocked.'), ' Every request is denied; it ends ', until(blocked_until), '.']),
    );
    // What was used comes first; the others stand as every stranger does.
    const isUsed = ({ remaining, limit, blocked_until }: Bucket) =>
      remaining < limit || blocked_until !== null;
    this.#buckets.show([...buckets.filter(isUsed), ...buckets.filter((bucket) => !isUsed(bucket))]);
    this.#card.hidden = false;
    this.#isWanted = false;
    if (!this.#isNew) return;
    this.#isNew = false;
    element('client').scrollIntoView();
    this.#name.focus({ preventScroll: true });
  }

  #block(): void {
    this.#ask({
      title: 'Block this client?',
      text: 'Every request of it is denied for that long, whatever its limits have left.',
      button: 'Block',
      asksForDuration: true,
      act: (identity, duration) => api.block(identity, duration),
      done: (identity, duration) => `${identity} is blocked for ${duration}.`,
    });
  }

  #unblock(): void {
    this.#ask({
      title: 'Unblock this client?',
      text: 'Blocks of it and of its buckets end now. What it has used stays counted.',
      button: 'Unblock',
      act: (identity) => api.unblock(identity),
      done: (identity) => `${identity} is not blocked any more.`,
    });
  }

  #reset(): void {
    this.#ask({
      title: 'Reset this client?',
      text: 'All of its buckets are full again, as if it had never come.',
      button: 'Reset',
      act: (identity) => api.reset(identity),
      done: (identity) => `${identity} starts afresh.`,
    });
  }

  #ask({
    act,
    done,
    ...question
  }: Omit<Ask, 'identity' | 'act'> & {
    readonly act: (identity: string, duration: string) => Promise<void>;
    readonly done: (identity: string, duration: string) => string;
  }): void {
    const identity = this.#identity;
    if (identity === undefined) return;
    ask({
      ...question,
      identity,
      act: async (duration) => {
        await act(identity, duration);
        say(this.#result, done(identity, duration));
        this.#isWanted = true;
        this.#poller.start();
      },
    });
  }
}
