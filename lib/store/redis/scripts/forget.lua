-- Removes the charges of an identity, or its blocks.
--
-- KEYS[1]  the identity's hash
-- ARGV[1]  now, see clock
-- ARGV[2]  `charges`, which includes the blocks of the buckets; or `blocks`, which removes only these
-- ARGV[3]  for `charges` of one scope, the prefix of its fields: `scope:`; empty to remove everything
--
-- Returns 1.

-- @include buckets

local key, target, start = KEYS[1], ARGV[2], ARGV[3]

if target == 'blocks' then
  call('HDEL', key, BLOCK)
  local all = call('HGETALL', key)
  for at = 1, #all, 2 do
    local raw = all[at + 1]
    local version, flag, generation, start = 0, 0, 0, 0
    if #raw >= HEAD_SIZE then version, flag, generation, start = unpackFrom(HEAD, raw) end
    if version == VERSION and flag % 2 == 1 then
      if #raw < start + MARKS_SIZE then
        call('HDEL', key, all[at])
      else
        call('HSET', key, all[at], pack(HEAD, VERSION, flag - 1, generation) .. sub(raw, start + MARKS_SIZE))
      end
    end
  end
elseif start == '' then
  call('UNLINK', key)
else
  for _, field in ipairs(call('HKEYS', key)) do
    if sub(field, 1, #start) == start then call('HDEL', key, field) end
  end
end
return 1
