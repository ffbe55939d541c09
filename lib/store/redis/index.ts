export type { RedisClient } from './client.js';
export { RedisReplyError } from './messages.js';
export { RedisStore, type RedisStoreOptions, type RedisStoreSettings } from './redis-store.js';
