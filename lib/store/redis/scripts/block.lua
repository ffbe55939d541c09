-- Blocks an identity from now on.
--
-- KEYS[1]  the identity's hash
-- ARGV[1]  now, see clock
-- ARGV[2]  length of the block in milliseconds
--
-- Returns 1.

-- @include clock
-- @include buckets

local forMs = tonumber(ARGV[2])
redis.call('HSET', KEYS[1], BLOCK, whole(now + forMs))
keepFor(KEYS[1], forMs, forMs)
return 1
