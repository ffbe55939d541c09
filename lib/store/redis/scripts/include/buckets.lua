-- An identity is one hash. Its fields are buckets, called `scope:policy:letter:windowMs`, and `block`, until when
-- the whole identity is blocked. A bucket is its birth in seven bytes, the lowest first, and the msgpack of: 0, or
-- else 1 and its marks, which are blockedUntil, strikes and strikesEnd; and its state, closed from the millisecond of
-- the birth on, since small numbers are short there.
local BLOCK = 'block'
local BLOCKED_UNTIL, STRIKES, STRIKES_END = 1, 2, 3
local pack, unpackFrom = cmsgpack.pack, cmsgpack.unpack_limit
local packBirth, unpackBirth, floor = struct.pack, struct.unpack, math.floor
-- More than any bucket has.
local ALL = 100

local function parted(bornAt, _, isMarked, ...)
  -- Fails for what is no number, before anything relies on it.
  if isMarked + 0 == 0 then return bornAt, { ... }, false end
  local blockedUntil, strikes, strikesEnd = ...
  return bornAt, { select(4, ...) }, { blockedUntil + 0, strikes + 0, strikesEnd + 0 }
end

-- The birth of a bucket, its state, which is closed, and its marks, or false.
local function unpacked(raw)
  return parted(unpackBirth('<I7', raw), unpackFrom(raw, ALL, 7))
end

local function opened(state, rule, bornAt)
  if #state == 0 then return state end
  return rule.algorithm.open(state, rule, floor(bornAt / 1000))
end

local function closed(state, rule, bornAt)
  if #state == 0 then return state end
  return rule.algorithm.close(state, rule, floor(bornAt / 1000))
end

local function packed(bornAt, state, marks)
  if not marks then return packBirth('<I7', bornAt) .. pack(0, unpack(state)) end
  return packBirth('<I7', bornAt) .. pack(1, marks[BLOCKED_UNTIL], marks[STRIKES], marks[STRIKES_END], unpack(state))
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
