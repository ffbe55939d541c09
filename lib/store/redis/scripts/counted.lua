-- Reads what all processes have counted in an hour.
--
-- KEYS     as in count
-- ARGV     none
--
-- Returns { counts, clients, denied, users, denials }: hashes and lists as names and numbers in turn.

return {
  redis.call('HGETALL', KEYS[1]),
  redis.call('GET', KEYS[2]) or '',
  redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'),
  redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', KEYS[5]),
}
