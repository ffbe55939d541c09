interface BlockRecord {
  /** Denies until then. */
  untilMs: number;
  /** How often it was blocked under a limit whose blocks grow, and until when that is remembered. */
  offenses: number;
  offensesEndMs: number;
}

/** Which buckets are blocked, and were. Of most of them there is nothing to say. */
export class Blocks {
  readonly #records = new Map<number, BlockRecord>();
  /** Every bucket that was blocked and may still be. */
  readonly #blocked = new Set<number>();
  /** No block ends before then. */
  #nextUnblockMs = Number.POSITIVE_INFINITY;

  /** @param maxBlocks How many there may be at a time. */
  constructor(readonly maxBlocks: number) {}

  /** Whether any bucket may be blocked. */
  get hasBlocks(): boolean {
    return this.#blocked.size > 0;
  }

  /** Until when a bucket denies; 0 when it was never blocked. */
  untilMs(generation: number): number {
    return this.#records.get(generation)?.untilMs ?? 0;
  }

  /** When there is nothing to say of a bucket any more. */
  endsAtMs(generation: number): number {
    const record = this.#records.get(generation);
    return record === undefined ? 0 : Math.max(record.untilMs, record.offensesEndMs);
  }

  /** How long the next block of these lengths is. */
  nextDurationMs(generation: number, durationsMs: readonly number[], nowMs: number): number {
    return durationsMs[Math.min(this.#offensesAt(generation, nowMs), durationsMs.length - 1)] as number;
  }

  /**
   * Blocks a bucket.
   *
   * @returns Whether there was room for it.
   */
  block(generation: number, untilMs: number, nowMs: number): boolean {
    if (!this.#blocked.has(generation) && !this.#hasRoom(nowMs)) return false;
    this.#blocked.add(generation);
    this.#nextUnblockMs = Math.min(this.#nextUnblockMs, untilMs);
    this.#recordOf(generation).untilMs = untilMs;
    return true;
  }

  /** Remembers a block of `durationMs` that begins now: until none has been for as long as the longest. */
  recordOffense(generation: number, durationsMs: readonly number[], durationMs: number, nowMs: number): void {
    if (durationsMs.length < 2) return;
    const offenses = this.#offensesAt(generation, nowMs) + 1;
    const longestMs = durationsMs[durationsMs.length - 1] as number;
    Object.assign(this.#recordOf(generation), { offenses, offensesEndMs: nowMs + durationMs + longestMs });
  }

  /** Forgets the block of a bucket, and those before. */
  forget(generation: number): void {
    if (this.#records.delete(generation)) this.#blocked.delete(generation);
  }

  clear(): void {
    this.#records.clear();
    this.#blocked.clear();
    this.#nextUnblockMs = Number.POSITIVE_INFINITY;
  }

  #offensesAt(generation: number, nowMs: number): number {
    const record = this.#records.get(generation);
    return record !== undefined && nowMs < record.offensesEndMs ? record.offenses : 0;
  }

  #recordOf(generation: number): BlockRecord {
    let record = this.#records.get(generation);
    if (record === undefined) {
      record = { untilMs: 0, offenses: 0, offensesEndMs: 0 };
      this.#records.set(generation, record);
    }
    return record;
  }

  #hasRoom(nowMs: number): boolean {
    if (this.#blocked.size < this.maxBlocks || nowMs < this.#nextUnblockMs)
      return this.#blocked.size < this.maxBlocks;
    this.#nextUnblockMs = Number.POSITIVE_INFINITY;
    for (const generation of this.#blocked) {
      const untilMs = this.untilMs(generation);
      if (untilMs <= nowMs) this.#blocked.delete(generation);
      else this.#nextUnblockMs = Math.min(this.#nextUnblockMs, untilMs);
    }
    return this.#blocked.size < this.maxBlocks;
  }
}
