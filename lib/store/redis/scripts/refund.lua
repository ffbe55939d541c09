-- Gives back charges that still count, if the bucket that was charged still exists.
--
-- KEYS     the identities' hashes, each once
-- ARGV[1]  now, see clock
-- then for each charge: the index of its key in KEYS; its field; `algorithm windowMs limit capacity`; its cost; when
--   it was charged; how long after that its bucket would be full; the bucket's generation (`birth` below)
--
-- Returns the number of charges given back.

-- @include clock
-- @include algorithms
-- @include buckets

local count = 0
for at = 2, #ARGV, 7 do
  local key, field = KEYS[tonumber(ARGV[at])], ARGV[at + 1]
  local rule = ruleOf(string.match(ARGV[at + 2], RULE))
  local raw = redis.call('HGET', key, field)
  local bornAt, state, marks
  if raw then bornAt, state, marks = unpacked(raw) end
  if bornAt == tonumber(ARGV[at + 6]) then
    local charged = {
      cost = tonumber(ARGV[at + 3]),
      at = tonumber(ARGV[at + 4]),
      resetAfter = tonumber(ARGV[at + 5]),
    }
    state = rule.algorithm.refund(opened(state, rule, bornAt), rule, charged)
    if #state == 0 and isOver(marks) then
      redis.call('HDEL', key, field)
    else
      redis.call('HSET', key, field, packed(bornAt, closed(state, rule, bornAt), marks))
    end
    count = count + 1
  end
end
return count
