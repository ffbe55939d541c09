// The package brings no types.
/// <reference path="./cluster-key-slot.d.ts" />
import slotOf from 'cluster-key-slot';
import type { RedisClient } from './client.js';

/** The node of a Cluster that leads a key's slot, as `host:port`; empty while nobody has told. */
export const masterOf = ({ slots }: RedisClient, key: string): string => slots?.[slotOf(key)]?.[0] ?? '';
