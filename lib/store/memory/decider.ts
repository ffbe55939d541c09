import { type State, UNTOUCHED } from '../../core/algorithms/algorithm.js';
import { ALGORITHMS } from '../../core/algorithms/index.js';
import { type Charge, type Decision, decisionOf } from '../../core/decision.js';
import { definePolicy } from '../../core/policy.js';
import type { Buckets } from './buckets.js';
import { Row } from './row.js';
import { NONE } from './shelf.js';
import { States } from './states.js';

/** Where the blocks of whole identities are kept: a bucket each, that nothing is charged to. */
export const BLOCK = definePolicy({ name: 'block', scope: '', rate: { limit: 1, windowMs: 1 } });

/** What is known of one charge of the request in hand. */
class Seat {
  readonly row = new Row();
  readonly states = new States();
  /** What its bucket holds. */
  state: State = UNTOUCHED;
  /** 0 when the charge passes now, else how long its own limit or a block makes it wait. */
  waitMs = 0;
}

/** Decides requests, one at a time, on the buckets of a store. */
export class Decider {
  /** They serve every request in turn. */
  readonly #seats: Seat[] = [];

  constructor(readonly buckets: Buckets) {}

  /** Charges all of a request that is admitted, and nothing of one that is not. */
  consume(charges: readonly Charge[], nowMs: number): readonly Decision[] {
    const { changes } = this.buckets;
    let admitted = true;
    for (let i = 0; i < charges.length; i++) {
      const charge = charges[i] as Charge;
      const seat = this.#seatAt(i);
      this.#look(seat, charge, nowMs);
      if (seat.waitMs > 0 && !charge.shadow) admitted = false;
    }
    const decisions = new Array<Decision>(charges.length);
    for (let i = 0; i < charges.length; i++) {
      const charge = charges[i] as Charge;
      const seat = this.#seatAt(i);
      // Buckets that were made for this request may have moved others.
      if (this.buckets.changes !== changes) {
        this.buckets.locate(seat.row, charge.policy.tail, charge.identity);
      }
      if (seat.waitMs === 0 && admitted && charge.cost > 0) {
        const receipt = this.#charge(seat, charge, charges, nowMs);
        decisions[i] = this.#decision(seat, charge, 0, false, nowMs, receipt);
      } else decisions[i] = this.#uncharged(seat, charge, nowMs);
    }
    return decisions;
  }

  /** What {@link consume} would give; writes nothing. */
  peek(charges: readonly Charge[], nowMs: number): readonly Decision[] {
    return charges.map((charge) => {
      const seat = this.#seatAt(0);
      this.#look(seat, charge, nowMs);
      return this.#decision(seat, charge, this.#blockedUntilMs(seat, charge) - nowMs, false, nowMs, null);
    });
  }

  #seatAt(i: number): Seat {
    if (i === this.#seats.length) this.#seats.push(new Seat());
    return this.#seats[i] as Seat;
  }

  /** Finds the bucket of a charge as it stands, and how long the charge has to wait. */
  #look(seat: Seat, charge: Charge, nowMs: number): void {
    const { policy, cost } = charge;
    seat.state = UNTOUCHED;
    seat.waitMs = Number.POSITIVE_INFINITY;
    this.buckets.locate(seat.row, policy.tail, charge.identity);
    if (policy.limit === 0) return;
    const algorithm = ALGORITHMS[policy.algorithm];
    if (seat.row.address !== NONE) {
      seat.state = algorithm.settle(seat.row.read(seat.states), policy, nowMs);
    }
    seat.waitMs = cost === 0 ? 0 : algorithm.waitMs(seat.state, policy, cost, nowMs);
    if (!this.buckets.blocks.any) return;
    seat.waitMs = Math.max(seat.waitMs, this.#blockedUntilMs(seat, charge) - nowMs);
  }

  /** Writes an admitted charge, into a new bucket when this is its first, and gives the receipt. */
  #charge(seat: Seat, charge: Charge, held: readonly Charge[], nowMs: number): number | null {
    const { policy } = charge;
    const { row } = seat;
    const state = ALGORITHMS[policy.algorithm].charge(seat.state, policy, charge.cost, nowMs);
    if (row.address === NONE) {
      const isMade = this.buckets.create(policy, charge.identity, state, held, nowMs) !== NONE;
      // No room: this one request has more limits than the store may have buckets.
      if (!isMade) return null;
      this.buckets.locate(row, policy.tail, charge.identity);
    } else if (state.length <= row.room) row.write(policy, state);
    else {
      this.buckets.write(row.address, policy, state);
      this.buckets.locate(row, policy.tail, charge.identity);
    }
    seat.state = state;
    return row.birth;
  }

  /** The decision on what is not charged: it is denied, costs nothing, or another charge of its request is denied. */
  #uncharged(seat: Seat, charge: Charge, nowMs: number): Decision {
    const { policy, blocks, shadow } = charge;
    // Written all the same: what a clock that stepped back has moved stays there.
    if (seat.row.address !== NONE && policy.limit > 0) seat.row.write(policy, seat.state);
    if (seat.waitMs === 0) return this.#decision(seat, charge, 0, false, nowMs, null);
    const blockMs = blocks.length > 0 && !shadow ? this.#block(seat, charge, nowMs) : 0;
    seat.waitMs = Math.max(seat.waitMs, blockMs);
    const blockedMs = this.#blockedUntilMs(seat, charge) - nowMs;
    return this.#decision(seat, charge, blockedMs, blockMs > 0, nowMs, null);
  }

  /** Starts the block of a denied charge and gives its length; 0 where none begins. */
  #block({ row, waitMs }: Seat, charge: Charge, nowMs: number): number {
    if (row.address === NONE || waitMs === Number.POSITIVE_INFINITY) return 0;
    const { blocks } = this.buckets;
    // One that is under way goes on as it is.
    if (Math.max(blocks.untilMs(row.birth), this.#wholeBlockedUntilMs(charge)) > nowMs) return 0;
    const blockMs = blocks.nextMs(row.birth, charge.blocks, nowMs);
    if (!blocks.block(row.birth, nowMs + blockMs, nowMs)) return 0;
    blocks.strike(row.birth, charge.blocks, blockMs, nowMs);
    return blockMs;
  }

  /** Until when the bucket of a charge, or its identity, is blocked. */
  #blockedUntilMs({ row }: Seat, charge: Charge): number {
    const { blocks } = this.buckets;
    if (!blocks.any) return 0;
    const ofBucket = row.address === NONE ? 0 : blocks.untilMs(row.birth);
    return Math.max(ofBucket, this.#wholeBlockedUntilMs(charge));
  }

  #wholeBlockedUntilMs({ identity }: Charge): number {
    const address = this.buckets.find(BLOCK.tail, identity);
    return address === NONE ? 0 : this.buckets.blocks.untilMs(this.buckets.birthOf(address));
  }

  /** The decision on a charge, as its bucket was found or left. */
  #decision(
    { state, waitMs }: Seat,
    charge: Charge,
    blockedMs: number,
    startsBlock: boolean,
    atMs: number,
    receipt: number | null,
  ): Decision {
    const { policy } = charge;
    if (policy.limit === 0) {
      return decisionOf(charge, { used: 0, resetMs: 0, waitMs, blockedMs, startsBlock, atMs, receipt });
    }
    const algorithm = ALGORITHMS[policy.algorithm];
    const used = algorithm.used(state, policy, atMs);
    const resetMs = algorithm.resetMs(state, policy, atMs);
    return decisionOf(charge, { used, resetMs, waitMs, blockedMs, startsBlock, atMs, receipt });
  }
}
