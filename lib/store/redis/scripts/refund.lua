-- Gives back charges that still count, if the bucket that was charged still exists.
--
-- KEYS     the identities' hashes, each once
-- ARGV[1]  now, see clock
-- then for each charge: the index of its key in KEYS; its rule and its field, as for `consume`; when it was charged;
--   how long after that its bucket would be full; the bucket's generation
--
-- Returns the number of charges given back.

-- @include clock
-- @include buckets

local refunded = 0
for i = 2, #ARGV, 5 do
  local key, rule, atMs, resetAfterMs = KEYS[tonumber(ARGV[i])], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local code, windowMs, limit, capacity, cost, _, blocks, at = unpackFrom(RULE, rule)
  local field = sub(rule, at + 6 * blocks)
  local raw = call('HGET', key, field)
  local version, flag, generation, start, amount, timeMs
  if raw and #raw > HEAD_SIZE then version, flag, generation, start = unpackFrom(HEAD, raw) end
  if version == VERSION and generation == tonumber(ARGV[i + 4]) then
    refunded = refunded + 1
    local isMarked = flag % 2 == 1
    if isMarked then start = start + MARKS_SIZE end
    if start <= #raw then
      amount, timeMs, at = unpackFrom(STATE, raw, start)
      -- The entry of a sliding window that goes, from `first` to `last`, and what takes its place.
      local before, first, last, rest = amount, at, at - 1, ''
      -- @algorithms refund
      if amount > 0 and amount < before then
        local entries = sub(raw, start + STATE_SIZE, first - 1) .. rest .. sub(raw, last + 1)
        call('HSET', key, field, sub(raw, 1, start - 1) .. pack(STATE, amount, timeMs) .. entries)
      elseif amount < before and isMarked then
        call('HSET', key, field, sub(raw, 1, start - 1))
      elseif amount < before then
        call('HDEL', key, field)
      end
    end
  end
end
return refunded
