import type { RedisServer } from './server.js';

// In one call, since a server may hold many keys.
const FOREVER = `local forever = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('PTTL', key) == -1 then table.insert(forever, key) end
end
return forever`;

/** The keys of a server that would stay for ever. */
export async function keysWithoutExpiry(server: RedisServer): Promise<readonly string[]> {
  const keys = await server.cli('EVAL', FOREVER, '0');
  return keys.split('\n').filter((key) => key !== '');
}
