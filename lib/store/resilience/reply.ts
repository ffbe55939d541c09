import type { StoreReply } from '../store.js';

/** What is said of a store that answers something else than decisions. */
export const NO_DECISIONS = new Error('The store gave no decisions.');

/** Whether what a store has answered are decisions, as far as one can see. */
export const isReply = (reply: unknown): reply is StoreReply =>
  Array.isArray((reply as Partial<StoreReply> | null | undefined)?.decisions);
