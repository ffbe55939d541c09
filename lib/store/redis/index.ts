export type { RedisClient } from './ioredis.js';
export { RedisReplyError } from './protocol.js';
export { RedisStore, type RedisStoreOptions, type RedisStoreSettings } from './redis-store.js';
