-- Blocks an identity from now on.
--
-- KEYS[1]  the identity's hash
-- ARGV[1]  now, see clock
-- ARGV[2]  length of the block in milliseconds
--
-- Returns 1.

-- @include clock
-- @include buckets

local owner, leastMs, lifeMs = 1, tonumber(ARGV[2]), tonumber(ARGV[2])
call('HSET', KEYS[owner], BLOCK, pack(IDENTITY_BLOCK, now + lifeMs, lifeMs))
-- @include keep
return 1
