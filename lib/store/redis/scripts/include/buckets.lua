-- An identity is one hash. Its fields are buckets, called `scope:policy:letter:windowMs`, and `block`, until when
-- the whole identity is blocked. A bucket is its birth in six bytes, the lowest first, with the highest bit set where it
-- has marks; then in msgpack its marks, which are blockedUntil, strikes and strikesEnd, and its state, closed from the
-- millisecond of the birth on, since small numbers are short there.
local BLOCK = 'block'
local BLOCKED_UNTIL, STRIKES, STRIKES_END = 1, 2, 3
local pack, unpackFrom = cmsgpack.pack, cmsgpack.unpack_limit
local packBirth, unpackBirth, floor = struct.pack, struct.unpack, math.floor
-- More than any bucket has.
local ALL = 100

local MARKED = 2 ^ 47
-- What a birth counts in.
local BIRTH_MS = 0.032

local function parted(bornAt, _, ...)
  if bornAt < MARKED then return bornAt, { ... }, false end
  local blockedUntil, strikes, strikesEnd = ...
  -- Fails for what are no numbers, before anything relies on them.
  return bornAt - MARKED, { select(4, ...) }, { blockedUntil + 0, strikes + 0, strikesEnd + 0 }
end

-- The birth of a bucket, its state, which is closed, and its marks, or false.
local function unpacked(raw)
  return parted(unpackBirth('<I6', raw), unpackFrom(raw, ALL, 6))
end

local function opened(state, rule, bornAt)
  if #state == 0 then return state end
  return rule.algorithm.open(state, rule, floor(bornAt * BIRTH_MS))
end

local function closed(state, rule, bornAt)
  if #state == 0 then return state end
  return rule.algorithm.close(state, rule, floor(bornAt * BIRTH_MS))
end

local function packed(bornAt, state, marks)
  if not marks then return packBirth('<I6', bornAt) .. pack(unpack(state)) end
  return packBirth('<I6', bornAt + MARKED)
    .. pack(marks[BLOCKED_UNTIL], marks[STRIKES], marks[STRIKES_END], unpack(state))
end

local function isOver(marks)
  return not marks or (marks[BLOCKED_UNTIL] <= now and marks[STRIKES_END] <= now)
end

-- Has a key live for another `leastMs` at least, else for `ms`; under a clock that a test turns, which expiry knows
-- nothing of, for a minute.
local function keepFor(key, leastMs, ms)
  if ARGV[1] ~= '' then leastMs, ms = math.max(leastMs, 60000), math.max(ms, 67500) end
  if redis.call('PTTL', key) < leastMs then redis.call('PEXPIRE', key, whole(ms)) end
end
