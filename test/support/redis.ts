export { type ClusterOptions, type RedisCluster, startCluster } from './redis/cluster.js';
export { type SentinelOptions, type SentinelSet, startSentinelSet } from './redis/sentinel.js';
export { type RedisOptions, type RedisServer, startRedis } from './redis/server.js';
