interface Mark {
  /** Denies until then. */
  untilMs: number;
  /** How often it was blocked under a limit whose blocks grow, and until when that is remembered. */
  strikes: number;
  strikesEndMs: number;
}

/** Which buckets are blocked, and were. Of most of them there is nothing to say. */
export class Blocks {
  readonly #marks = new Map<number, Mark>();
  /** Every bucket that was blocked and may still be. */
  readonly #blocked = new Set<number>();
  /** No block ends before then. */
  #nextUnblockMs = Number.POSITIVE_INFINITY;

  /** @param most How many there may be at a time. */
  constructor(readonly most: number) {}

  /** Whether any bucket may be blocked. */
  get any(): boolean {
    return this.#blocked.size > 0;
  }

  /** Until when a bucket denies; 0 when it was never blocked. */
  untilMs(birth: number): number {
    return this.#marks.get(birth)?.untilMs ?? 0;
  }

  /** When there is nothing to say of a bucket any more. */
  endsAtMs(birth: number): number {
    const mark = this.#marks.get(birth);
    return mark === undefined ? 0 : Math.max(mark.untilMs, mark.strikesEndMs);
  }

  /** How long the next block of these lengths is. */
  nextMs(birth: number, lengths: readonly number[], nowMs: number): number {
    return lengths[Math.min(this.#strikesAt(birth, nowMs), lengths.length - 1)] as number;
  }

  /**
   * Blocks a bucket.
   *
   * @returns Whether there was room for it.
   */
  block(birth: number, untilMs: number, nowMs: number): boolean {
    if (!this.#blocked.has(birth) && !this.#hasRoom(nowMs)) return false;
    this.#blocked.add(birth);
    this.#nextUnblockMs = Math.min(this.#nextUnblockMs, untilMs);
    this.#markOf(birth).untilMs = untilMs;
    return true;
  }

  /** Remembers a block of `lengthMs` that begins now: until none has been for as long as the longest. */
  strike(birth: number, lengths: readonly number[], lengthMs: number, nowMs: number): void {
    if (lengths.length < 2) return;
    const strikes = this.#strikesAt(birth, nowMs) + 1;
    const longestMs = lengths[lengths.length - 1] as number;
    Object.assign(this.#markOf(birth), { strikes, strikesEndMs: nowMs + lengthMs + longestMs });
  }

  /** Forgets the block of a bucket, and those before. */
  forget(birth: number): void {
    if (this.#marks.delete(birth)) this.#blocked.delete(birth);
  }

  clear(): void {
    this.#marks.clear();
    this.#blocked.clear();
    this.#nextUnblockMs = Number.POSITIVE_INFINITY;
  }

  #strikesAt(birth: number, nowMs: number): number {
    const mark = this.#marks.get(birth);
    return mark !== undefined && nowMs < mark.strikesEndMs ? mark.strikes : 0;
  }

  #markOf(birth: number): Mark {
    let mark = this.#marks.get(birth);
    if (mark === undefined) {
      mark = { untilMs: 0, strikes: 0, strikesEndMs: 0 };
      this.#marks.set(birth, mark);
    }
    return mark;
  }

  #hasRoom(nowMs: number): boolean {
    if (this.#blocked.size < this.most || nowMs < this.#nextUnblockMs) return this.#blocked.size < this.most;
    this.#nextUnblockMs = Number.POSITIVE_INFINITY;
    for (const birth of this.#blocked) {
      const untilMs = this.untilMs(birth);
      if (untilMs <= nowMs) this.#blocked.delete(birth);
      else this.#nextUnblockMs = Math.min(this.#nextUnblockMs, untilMs);
    }
    return this.#blocked.size < this.most;
  }
}
