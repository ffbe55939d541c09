export type { RedisClient, RedisStoreOptions, RedisStoreSettings } from './options.js';
export { RedisReplyError } from './protocol.js';
export { RedisStore } from './redis-store.js';
