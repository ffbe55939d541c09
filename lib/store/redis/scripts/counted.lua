-- Reads the counts of an hour by all processes.
--
-- KEYS     as in count
-- ARGV     none
--
-- Returns { counts, clients, denied, users, denials }: hashes and lists as names and numbers in turn; clients is the
-- estimate of their number.

return {
  redis.call('HGETALL', KEYS[1]),
  redis.call('PFCOUNT', KEYS[2]),
  redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'),
  redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', KEYS[5]),
}
