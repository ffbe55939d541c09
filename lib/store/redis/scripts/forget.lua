-- Removes the charges of an identity, or its blocks.
--
-- KEYS[1]  the identity's hash
-- ARGV[1]  now, see clock
-- ARGV[2]  `charges`, which includes the blocks of the buckets; or `blocks`, which removes only these
-- ARGV[3]  for `charges` of one scope, the prefix of its fields: `scope:`; empty to remove everything
--
-- Returns 1.

-- @include clock
-- @include buckets

local key, what, start = KEYS[1], ARGV[2], ARGV[3]

if what == 'blocks' then
  redis.call('HDEL', key, BLOCK)
  local all = redis.call('HGETALL', key)
  for at = 1, #all, 2 do
    local bornAt, state, marks = unpacked(all[at + 1])
    if marks then
      if #state == 0 then
        redis.call('HDEL', key, all[at])
      else
        redis.call('HSET', key, all[at], packed(bornAt, state, false))
      end
    end
  end
elseif start == '' then
  redis.call('UNLINK', key)
else
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, #start) == start then redis.call('HDEL', key, field) end
  end
end
return 1
