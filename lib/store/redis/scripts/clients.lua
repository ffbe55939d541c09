-- Estimates the different clients of several hours.
--
-- KEYS     the key `clients` of each hour: see count
-- ARGV     none
--
-- Returns the number.

return redis.call('PFCOUNT', unpack(KEYS))
