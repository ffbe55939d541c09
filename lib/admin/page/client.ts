import { type ApiError, api, type Bucket, type Client } from './api.js';
import { type Confirmation, confirmAction } from './confirm-dialog.js';
import { byId, formatCount, make, setText } from './dom.js';
import { limitName } from './limit-name.js';
import { Poller } from './poll.js';
import { Table } from './table.js';
import { countdown } from './time.js';

const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/;
const IPV6 = /^[\da-f]*:[\da-f:.]*:[\da-f:.]*(\/\d{1,3})?$/i;

/** Prefixes a value with its kind, unless it already has one. */
export const toIdentity = (kind: 'ip' | 'user', value: string): string =>
  value.startsWith(`${kind}:`) ? value : `${kind}:${value}`;

/** Returns the identity that an operator typed. Addresses need no `ip:`. */
const parseIdentity = (text: string): string => (IPV4.test(text) || IPV6.test(text) ? `ip:${text}` : text);

const HASH = '#client=';
const toHash = (identity: string): string => HASH + encodeURIComponent(identity);

function identityFromHash(): string | undefined {
  if (!location.hash.startsWith(HASH)) return undefined;
  try {
    return decodeURIComponent(location.hash.slice(HASH.length)) || undefined;
  } catch {
    return undefined;
  }
}

/** Creates a link that looks up a client. */
export const clientLink = (identity: string, text: string): HTMLAnchorElement =>
  make('a', { href: toHash(identity) }, text);

function remainingCell({ remaining, limit }: Bucket): Node {
  const text = `${formatCount(remaining)} of ${formatCount(limit)}`;
  const meter = make('meter', {
    min: '0',
    max: String(Math.max(1, limit)),
    low: String(limit * 0.25),
    optimum: String(Math.max(1, limit)),
    value: String(remaining),
    // The text next to it says the same.
    'aria-hidden': 'true',
  });
  return make('span', { class: 'left' }, meter, make('span', {}, text));
}

function nextUnitCell({ remaining, limit, next_unit_at }: Bucket): string | Node {
  if (next_unit_at !== null) return countdown(next_unit_at);
  return remaining >= limit && limit > 0 ? 'full' : 'never';
}

/** Shows the buckets of one client, and blocks, unblocks or resets it. */
export class ClientView {
  readonly #field = byId<HTMLInputElement>('identity');
  readonly #card = byId('client-card');
  readonly #name = byId('client-name');
  readonly #blocked = byId('client-blocked');
  readonly #result = byId('client-result');
  readonly #state = byId('client-state');
  readonly #buckets = new Table<Bucket>({
    id: 'buckets',
    empty: 'No buckets are known for this client.',
    key: ({ scope, name, tier }) => `${scope}\n${name}\n${tier}`,
    cells: (bucket) => [
      bucket.tier === null
        ? limitName(bucket.name, bucket.scope)
        : `${limitName(bucket.name, bucket.scope)} (${bucket.tier})`,
      remainingCell(bucket),
      nextUnitCell(bucket),
      bucket.reset_at === null ? 'full' : countdown(bucket.reset_at),
      bucket.blocked_until === null ? '–' : countdown(bucket.blocked_until),
    ],
  });
  readonly #poller: Poller<Client>;
  #identity: string | undefined;
  /** True while the operator waits for it, also while the page is idle. */
  #isRequested = false;
  /** True until its name has received the focus. */
  #needsFocus = false;

  constructor(isIdle: () => boolean, onUnauthorized: (error: ApiError) => void) {
    this.#poller = new Poller({
      everyMs: 3_000,
      load: () => api.client(this.#identity as string),
      show: (client) => this.#show(client),
      showError: (text) => {
        this.#isRequested = false;
        setText(this.#state, text);
      },
      onUnauthorized,
      isIdle: () => isIdle() && !this.#isRequested,
    });
    byId<HTMLFormElement>('search').addEventListener('submit', (event) => {
      event.preventDefault();
      const identity = parseIdentity(this.#field.value.trim());
      if (identity === '') return;
      if (location.hash === toHash(identity)) this.#open();
      else location.hash = toHash(identity);
    });
    addEventListener('hashchange', () => {
      if (identityFromHash() !== undefined) this.#open();
    });
    byId('block').addEventListener('click', () => this.#block());
    byId('unblock').addEventListener('click', () => this.#unblock());
    byId('reset').addEventListener('click', () => this.#reset());
  }

  /** Shows the client that the URL names. */
  start(): void {
    if (this.#identity !== undefined) this.#poller.start();
    else if (identityFromHash() !== undefined) this.#open();
  }

  stop(): void {
    this.#poller.stop();
  }

  #open(): void {
    this.#identity = identityFromHash();
    if (this.#identity === undefined) return;
    this.#field.value = this.#identity;
    this.#card.hidden = true;
    this.#isRequested = true;
    this.#needsFocus = true;
    this.#buckets.clear('');
    setText(this.#result, '');
    setText(this.#state, `Looking up ${this.#identity} …`);
    this.#poller.start();
  }

  #show({ identity, blocked_until, buckets }: Client): void {
    setText(this.#state, '');
    setText(this.#name, identity);
    this.#blocked.replaceChildren(
      ...(blocked_until === null
        ? ['Not blocked.']
        : [
            make('strong', {}, 'Blocked.'),
            ' Every request is denied; the block ends ',
            countdown(blocked_until),
            '.',
          ]),
    );
    // Used buckets come first; the others are as full as those of any new client.
    const isUsed = ({ remaining, limit, blocked_until }: Bucket) =>
      remaining < limit || blocked_until !== null;
    this.#buckets.show([...buckets.filter(isUsed), ...buckets.filter((bucket) => !isUsed(bucket))]);
    this.#card.hidden = false;
    this.#isRequested = false;
    if (!this.#needsFocus) return;
    this.#needsFocus = false;
    byId('client').scrollIntoView();
    this.#name.focus({ preventScroll: true });
  }

  #block(): void {
    this.#confirm({
      title: 'Block this client?',
      text: 'All of its requests are denied for this long, whatever its limits allow.',
      button: 'Block',
      hasDuration: true,
      run: (identity, duration) => api.block(identity, duration),
      done: (identity, duration) => `${identity} is blocked for ${duration}.`,
    });
  }

  #unblock(): void {
    this.#confirm({
      title: 'Unblock this client?',
      text: 'Blocks of this client and of its buckets end now. Its counts stay.',
      button: 'Unblock',
      run: (identity) => api.unblock(identity),
      done: (identity) => `${identity} is unblocked.`,
    });
  }

  #reset(): void {
    this.#confirm({
      title: 'Reset this client?',
      text: 'All of its counts and blocks are deleted, as if it had never sent a request.',
      button: 'Reset',
      run: (identity) => api.reset(identity),
      done: (identity) => `${identity} is reset.`,
    });
  }

  #confirm({
    run,
    done,
    ...confirmation
  }: Omit<Confirmation, 'identity' | 'run'> & {
    readonly run: (identity: string, duration: string) => Promise<void>;
    readonly done: (identity: string, duration: string) => string;
  }): void {
    const identity = this.#identity;
    if (identity === undefined) return;
    confirmAction({
      ...confirmation,
      identity,
      run: async (duration) => {
        await run(identity, duration);
        setText(this.#result, done(identity, duration));
        this.#isRequested = true;
        this.#poller.start();
      },
    });
  }
}
