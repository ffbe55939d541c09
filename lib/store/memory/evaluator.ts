import { EMPTY_STATE, type Numbers } from '../../core/algorithms/algorithm.js';
import { ALGORITHMS } from '../../core/algorithms/index.js';
import { type Charge, type Decision, toDecision } from '../../core/decision.js';
import { definePolicy } from '../../core/policy.js';
import { NONE } from './bucket-index.js';
import type { Buckets } from './buckets.js';
import { RowCursor, ScratchStates } from './row-cursor.js';

/** Policy of the buckets that block whole identities; nothing is charged to them. */
export const IDENTITY_BLOCK = definePolicy({ name: 'block', scope: '', rate: { limit: 1, windowMs: 1 } });

/** One charge of the current request. */
class Evaluation {
  readonly row = new RowCursor();
  /** The state of its bucket: so many numbers from here on, in its row or in a copy. */
  numbers: Numbers = EMPTY_STATE;
  at = 0;
  length = 0;
  /** 0 if the charge is admitted, otherwise how long its own limit or a block makes it wait. */
  waitMs = 0;

  /** Points to the state in the row. */
  useRow(): void {
    const { row } = this;
    this.numbers = row.numbers;
    this.at = row.stateAt;
    this.length = row.address === NONE ? 0 : row.length;
  }

  /** Points to a copy of the state. */
  useCopy(states: ScratchStates): void {
    this.numbers = this.row.address === NONE ? EMPTY_STATE : this.row.read(states);
    this.at = 0;
    this.length = this.numbers.length;
  }
}

/** Decides requests on the buckets of a store, one request at a time. */
export class Evaluator {
  /** Reused by every request. */
  readonly #evaluations: Evaluation[] = [];
  readonly #copies = new ScratchStates();

  constructor(readonly buckets: Buckets) {}

  /** Charges a request in full if it is admitted, otherwise not at all. */
  consume(charges: readonly Charge[], nowMs: number): readonly Decision[] {
    const { layoutVersion } = this.buckets;
    let admitted = true;
    for (let i = 0; i < charges.length; i++) {
      const charge = charges[i] as Charge;
      const evaluation = this.#evaluationAt(i);
      this.buckets.locate(evaluation.row, charge.policy.bucketKey, charge.identity);
      evaluation.useRow();
      this.#evaluate(evaluation, charge, nowMs);
      if (evaluation.row.address !== NONE && charge.policy.limit > 0)
        evaluation.row.length = evaluation.length;
      if (this.buckets.blocks.hasBlocks) this.#settleBlocks(evaluation, charge, nowMs);
      if (evaluation.waitMs > 0 && !charge.shadow) admitted = false;
    }
    const decisions = new Array<Decision>(charges.length);
    for (let i = 0; i < charges.length; i++) {
      const charge = charges[i] as Charge;
      const evaluation = this.#evaluationAt(i);
      // A bucket that was created for this request may have moved others.
      if (this.buckets.layoutVersion !== layoutVersion) {
        this.buckets.locate(evaluation.row, charge.policy.bucketKey, charge.identity);
        evaluation.useRow();
      }
      if (evaluation.waitMs === 0 && admitted && charge.cost > 0) {
        const receipt = this.#charge(evaluation, charge, charges, nowMs);
        decisions[i] = this.#decision(evaluation, charge, 0, false, nowMs, receipt);
      } else decisions[i] = this.#uncharged(evaluation, charge, nowMs);
    }
    return decisions;
  }

  /** Returns the state of the buckets, and whether each charge would be admitted; writes nothing. */
  peek(charges: readonly Charge[], nowMs: number): readonly Decision[] {
    return charges.map((charge) => {
      const evaluation = this.#evaluationAt(0);
      this.buckets.locate(evaluation.row, charge.policy.bucketKey, charge.identity);
      evaluation.useCopy(this.#copies);
      this.#evaluate(evaluation, charge, nowMs);
      return this.#decision(
        evaluation,
        charge,
        this.#blockedUntilMs(evaluation, charge, nowMs) - nowMs,
        false,
        nowMs,
        null,
      );
    });
  }

  #evaluationAt(i: number): Evaluation {
    if (i === this.#evaluations.length) this.#evaluations.push(new Evaluation());
    return this.#evaluations[i] as Evaluation;
  }

  /** Brings the state of a charge's bucket to now, and determines how long the charge has to wait. */
  #evaluate(evaluation: Evaluation, charge: Charge, nowMs: number): void {
    const { policy, cost } = charge;
    evaluation.waitMs = Number.POSITIVE_INFINITY;
    if (policy.limit === 0) return;
    const { arithmetic } = ALGORITHMS[policy.algorithm];
    const { numbers, at } = evaluation;
    const length = arithmetic.settle(numbers, at, evaluation.length, policy, nowMs);
    evaluation.length = length;
    evaluation.waitMs = cost === 0 ? 0 : arithmetic.waitMs(numbers, at, length, policy, cost, nowMs);
    if (!this.buckets.blocks.hasBlocks) return;
    evaluation.waitMs = Math.max(evaluation.waitMs, this.#blockedUntilMs(evaluation, charge, nowMs) - nowMs);
  }

  /** Writes an admitted charge, into a new bucket if necessary, and returns its receipt. */
  #charge(evaluation: Evaluation, charge: Charge, pinned: readonly Charge[], nowMs: number): number | null {
    const { policy } = charge;
    const { row } = evaluation;
    const { arithmetic, charge: chargeState } = ALGORITHMS[policy.algorithm];
    if (row.address === NONE) {
      const state = chargeState(EMPTY_STATE, policy, charge.cost, nowMs);
      const isCreated = this.buckets.create(policy, charge.identity, state, pinned, nowMs) !== NONE;
      // There is no room when one request has more limits than the store may have buckets.
      if (!isCreated) return null;
      this.buckets.locate(row, policy.bucketKey, charge.identity);
    } else {
      this.buckets.makeRoomIn(row, arithmetic.lengthToCharge(evaluation.length));
      row.writeRule(policy);
      row.length = arithmetic.charge(row.numbers, row.stateAt, evaluation.length, policy, charge.cost, nowMs);
    }
    evaluation.useRow();
    return row.generation;
  }

  /** Decides a charge that is not written: it is denied, costs nothing, or another charge of the request is denied. */
  #uncharged(evaluation: Evaluation, charge: Charge, nowMs: number): Decision {
    const { policy, blockDurationsMs, shadow } = charge;
    if (evaluation.row.address !== NONE && policy.limit > 0) evaluation.row.writeRule(policy);
    if (evaluation.waitMs === 0) return this.#decision(evaluation, charge, 0, false, nowMs, null);
    const blockMs = blockDurationsMs.length > 0 && !shadow ? this.#block(evaluation, charge, nowMs) : 0;
    evaluation.waitMs = Math.max(evaluation.waitMs, blockMs);
    const blockedMs = this.#blockedUntilMs(evaluation, charge, nowMs) - nowMs;
    return this.#decision(evaluation, charge, blockedMs, blockMs > 0, nowMs, null);
  }

  /** Starts the block of a denied charge and returns its length; 0 if none starts. */
  #block(evaluation: Evaluation, charge: Charge, nowMs: number): number {
    const { row, waitMs } = evaluation;
    if (row.address === NONE || waitMs === Number.POSITIVE_INFINITY) return 0;
    const { blocks } = this.buckets;
    // A block that is running is neither extended nor replaced.
    if (this.#blockedUntilMs(evaluation, charge, nowMs) > nowMs) return 0;
    const blockMs = blocks.nextDurationMs(row.generation, charge.blockDurationsMs, nowMs);
    if (!blocks.block(row.generation, blockMs, nowMs)) return 0;
    blocks.recordOffense(row.generation, charge.blockDurationsMs, blockMs, nowMs);
    return blockMs;
  }

  /** Returns the end of the block on the bucket of a charge or on its identity; 0 if there is none. */
  #blockedUntilMs({ row }: Evaluation, { identity }: Charge, nowMs: number): number {
    const { blocks } = this.buckets;
    if (!blocks.hasBlocks) return 0;
    const ofBucket = row.address === NONE ? 0 : blocks.untilMs(row.generation, nowMs);
    const address = this.buckets.find(IDENTITY_BLOCK.bucketKey, identity);
    if (address === NONE) return ofBucket;
    return Math.max(ofBucket, blocks.untilMs(this.buckets.generationOf(address), nowMs));
  }

  /** Ends the blocks of a charge no later than their lengths after now. */
  #settleBlocks({ row }: Evaluation, { identity }: Charge, nowMs: number): void {
    const { blocks } = this.buckets;
    if (row.address !== NONE) blocks.settle(row.generation, nowMs);
    const address = this.buckets.find(IDENTITY_BLOCK.bucketKey, identity);
    if (address !== NONE) blocks.settle(this.buckets.generationOf(address), nowMs);
  }

  #decision(
    { numbers, at, length, waitMs }: Evaluation,
    charge: Charge,
    blockedMs: number,
    startsBlock: boolean,
    atMs: number,
    receipt: number | null,
  ): Decision {
    const { policy } = charge;
    if (policy.limit === 0) {
      return toDecision(charge, { used: 0, resetMs: 0, waitMs, blockedMs, startsBlock, atMs, receipt });
    }
    const { arithmetic } = ALGORITHMS[policy.algorithm];
    const used = arithmetic.used(numbers, at, length, policy, atMs);
    const resetMs = arithmetic.resetMs(numbers, at, length, policy, atMs);
    return toDecision(charge, { used, resetMs, waitMs, blockedMs, startsBlock, atMs, receipt });
  }
}
