interface BlockRecord {
  /** End of the block, and its length. */
  untilMs: number;
  durationMs: number;
  /** Number of blocks so far under a limit whose blocks grow, and when that number is forgotten. */
  offenses: number;
  offensesEndMs: number;
}

/** Blocks of buckets, current and past. Kept apart from the buckets because few of them have any. */
export class Blocks {
  readonly #records = new Map<number, BlockRecord>();
  /** Buckets that were blocked and may still be. */
  readonly #blocked = new Set<number>();
  /** No block ends earlier. */
  #nextUnblockMs = Number.POSITIVE_INFINITY;

  /** @param maxBlocks The number of buckets that may be blocked at a time. */
  constructor(readonly maxBlocks: number) {}

  /** False if no bucket can be blocked. */
  get hasBlocks(): boolean {
    return this.#blocked.size > 0;
  }

  /**
   * Returns when a bucket's block ends; 0 if it was never blocked. A block lasts no longer than its length, even if the
   * clock has stepped back.
   */
  untilMs(generation: number, nowMs: number): number {
    const record = this.#records.get(generation);
    return record === undefined ? 0 : Math.min(record.untilMs, nowMs + record.durationMs);
  }

  /** Records the block of a bucket as it is at `nowMs`: a block that starts ahead of now, starts now. */
  settle(generation: number, nowMs: number): void {
    const record = this.#records.get(generation);
    if (record === undefined) return;
    const aheadMs = record.untilMs - record.durationMs - nowMs;
    if (aheadMs <= 0) return;
    record.untilMs -= aheadMs;
    record.offensesEndMs = Math.max(0, record.offensesEndMs - aheadMs);
    this.#nextUnblockMs = Math.min(this.#nextUnblockMs, record.untilMs);
  }

  /** Returns when a bucket's record is no longer needed. */
  endsAtMs(generation: number): number {
    const record = this.#records.get(generation);
    return record === undefined ? 0 : Math.max(record.untilMs, record.offensesEndMs);
  }

  /** Returns the length of a bucket's next block. */
  nextDurationMs(generation: number, durationsMs: readonly number[], nowMs: number): number {
    return durationsMs[Math.min(this.#offensesAt(generation, nowMs), durationsMs.length - 1)] as number;
  }

  /**
   * Blocks a bucket from now on.
   *
   * @returns True if there was room for another block.
   */
  block(generation: number, durationMs: number, nowMs: number): boolean {
    if (!this.#blocked.has(generation) && !this.#hasRoom(nowMs)) return false;
    this.#blocked.add(generation);
    const untilMs = nowMs + durationMs;
    this.#nextUnblockMs = Math.min(this.#nextUnblockMs, untilMs);
    Object.assign(this.#recordOf(generation), { untilMs, durationMs });
    return true;
  }

  /** Counts a block that starts now. The count is forgotten when no block was running for as long as the longest. */
  recordOffense(generation: number, durationsMs: readonly number[], durationMs: number, nowMs: number): void {
    if (durationsMs.length < 2) return;
    const offenses = this.#offensesAt(generation, nowMs) + 1;
    const longestMs = durationsMs[durationsMs.length - 1] as number;
    Object.assign(this.#recordOf(generation), { offenses, offensesEndMs: nowMs + durationMs + longestMs });
  }

  /** Removes the block of a bucket and the count of its blocks. */
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
      record = { untilMs: 0, durationMs: 0, offenses: 0, offensesEndMs: 0 };
      this.#records.set(generation, record);
    }
    return record;
  }

  #hasRoom(nowMs: number): boolean {
    if (this.#blocked.size < this.maxBlocks) return true;
    if (nowMs < this.#nextUnblockMs) return false;
    this.#nextUnblockMs = Number.POSITIVE_INFINITY;
    for (const generation of this.#blocked) {
      const untilMs = this.untilMs(generation, nowMs);
      if (untilMs <= nowMs) this.#blocked.delete(generation);
      else this.#nextUnblockMs = Math.min(this.#nextUnblockMs, untilMs);
    }
    return this.#blocked.size < this.maxBlocks;
  }
}
