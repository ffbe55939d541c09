-- Decides requests in order. The charges of a request are written when each that is no shadow is admitted,
-- else none is. A request that cannot be decided, because one of its keys holds something else, fails alone.
--
-- KEYS     the identities' hashes, each once
-- ARGV[1]  now, see clock
-- ARGV[2]  `consume`; `peek`, which writes nothing; `block`, which writes no charge but starts blocks
-- ARGV[3]  the requests, in numbers of two characters each, see numbers; for each:
--   how many times it comes; how many charges it has; and for each charge the place of its key in KEYS and
--   the place of its kind
-- then for each kind of charge
--   its field; and `algorithm windowMs limit capacity cost shadow blocks`, as whole numbers, shadow as 0 or
--   1, blocks as milliseconds joined by commas, or nothing
--
-- Returns { numbers, and the texts of errors }. The numbers are doubles of eight bytes, the lowest first: now;
-- for each request 0, or 1 where the next of the errors is its; and behind a 0, for each charge
--   used, reset, wait (-1 for ever), blocked (milliseconds left, below 0 when it has just begun), birth (0
--   when it was not charged)
-- One text, since clients take several times as long to read as many numbers.

-- @include clock
-- @include algorithms
-- @include buckets

local mode, asking = ARGV[2], ARGV[3]
local call, max, byte, double, ceil = redis.call, math.max, string.byte, struct.pack, math.ceil

-- Two numbers of two characters each, which count from `0` on, to the base of 64: cheaper to read than decimals,
-- of which each would be a text first.
local ZERO = 48 * 64 + 48

local function numbers(at)
  local high, low, nextHigh, nextLow = byte(asking, at, at + 3)
  return high * 64 + low - ZERO, nextHigh * 64 + nextLow - ZERO
end

local kinds, columns, width = {}, {}, 0
local KIND = RULE .. ' (%d+) ([01]) ([%d,]*)$'
local NO_BLOCKS = {}

local function kindOf(field, name, windowMs, limit, capacity, cost, shadow, blocks)
  if not columns[field] then
    width = width + 1
    columns[field] = width
  end
  local kind = ruleOf(name, windowMs, limit, capacity)
  kind.field, kind.column, kind.cost, kind.shadow = field, columns[field], tonumber(cost), shadow == '1'
  kind.blocks, kind.eighth = NO_BLOCKS, ceil(kind.windowMs / 8)
  if blocks == '' then return kind end
  kind.blocks = {}
  for ms in string.gmatch(blocks, '%d+') do table.insert(kind.blocks, tonumber(ms)) end
  return kind
end

for at = 4, #ARGV, 2 do kinds[at / 2 - 1] = kindOf(ARGV[at], string.match(ARGV[at + 1], KIND)) end

-- What has been read, in lists instead of a table for each, which would take longer than to decide. Of an identity,
-- by the place of its key: until when it is blocked. Of a bucket, by the place of its key times `width` and the
-- column of its field: birth, state, marks or false, and until when its key is kept, if that is known.
local blockedUntil = {}
local births, states, marks, keptUntil = {}, {}, {}, {}

-- What is to be written: keys; of a key the last of its buckets, of a bucket the one before, or 0, and the charge
-- that it is written for: what has ended under it ends the bucket.
local changed, lastOf, beforeOf, chargeOf = {}, {}, {}, {}

-- The request in hand, charge by charge: the place of its key, its bucket and its kind. These lists serve every
-- request in turn.
local owners, buckets, asked, waits = {}, {}, {}, {}
-- And of one of its identities: the fields that are read, whose they are, and what is written.
local names, readers, values = { BLOCK }, {}, {}

local NOTHING = {}

-- The key of a bucket is kept a little longer than the bucket counts, so that not every charge has to ask for how long
-- it is: a window's until the next eighth of it has begun.
local function eighthAfter(ends, eighth)
  return (floor(ends / eighth) + 1) * eighth
end

local function take(bucket, raw, charge)
  if not raw then
    births[bucket], states[bucket], marks[bucket] = birth, NOTHING, false
    return
  end
  local bornAt, state, marked = unpacked(raw)
  state = opened(state, charge, bornAt)
  births[bucket], states[bucket], marks[bucket] = bornAt, state, marked
  -- Not under a clock that a test turns, see keepFor.
  if charge.algorithm.lasts and not marked and #state > 0 and ARGV[1] == '' then
    keptUntil[bucket] = eighthAfter(now + charge.algorithm.reset(state, charge), charge.eighth)
  end
end

-- One read of all that a request needs of an identity.
local function read(from, to)
  local owner = owners[from]
  local count = 1
  for i = from, to do
    if owners[i] == owner and not states[buckets[i]] then
      count = count + 1
      names[count], readers[count] = asked[i].field, i
    end
  end
  local raw = call('HMGET', KEYS[owner], unpack(names, 1, count))
  blockedUntil[owner] = tonumber(raw[1] or 0)
  for i = 2, count do take(buckets[readers[i]], raw[i], asked[readers[i]]) end
end

local function change(i)
  local owner, bucket = owners[i], buckets[i]
  if not chargeOf[bucket] then
    local last = lastOf[owner]
    if not last then changed[#changed + 1] = owner end
    beforeOf[bucket], lastOf[owner] = last or 0, bucket
  end
  chargeOf[bucket] = asked[i]
end

local function blockedFor(i)
  local marked = marks[buckets[i]]
  return max(marked and marked[BLOCKED_UNTIL] or 0, blockedUntil[owners[i]]) - now
end

-- Blocks a bucket, for longer each time until no block has been for as long as the longest, and returns for
-- how long.
local function strike(bucket, lengths)
  local marked = marks[bucket] or { 0, 0, 0 }
  local before = marked[STRIKES_END] > now and marked[STRIKES] or 0
  local length = lengths[math.min(before + 1, #lengths)]
  marked[BLOCKED_UNTIL] = now + length
  if #lengths > 1 then marked[STRIKES], marked[STRIKES_END] = before + 1, now + length + lengths[#lengths] end
  marks[bucket] = marked
  return length
end

local function evaluate(i)
  local bucket, charge = buckets[i], asked[i]
  if charge.limit == 0 then return NEVER end
  local state, moved = charge.algorithm.settle(states[bucket], charge)
  states[bucket] = state
  -- Written even by a denial: otherwise the wait would start again at each look.
  if moved and mode ~= 'peek' then change(i) end
  -- Even for a cost of 0, so that a spoilt bucket fails before any is charged.
  local wait = charge.algorithm.wait(state, charge, charge.cost)
  if charge.cost == 0 then wait = 0 end
  local blocked = blockedFor(i)
  if blocked > wait then return blocked end
  return wait
end

local reply, size, errors = { double('<d', now) }, 1, {}

local DECIDED, FAILED = double('<d', 0), double('<d', 1)

local function answer(i, admitted)
  local bucket, charge, wait, receipt, sign = buckets[i], asked[i], waits[i], 0, 1
  if wait == 0 then
    if admitted and charge.cost > 0 and mode == 'consume' then
      if #states[bucket] == 0 and isOver(marks[bucket]) then births[bucket] = birth end
      states[bucket] = charge.algorithm.charge(states[bucket], charge, charge.cost)
      receipt = births[bucket]
      change(i)
    end
  elseif #charge.blocks > 0 and not charge.shadow and wait ~= NEVER and mode ~= 'peek' then
    if blockedFor(i) <= 0 then
      wait, sign = max(wait, strike(bucket, charge.blocks)), -1
      change(i)
    end
  end
  local counts, state = charge.limit > 0, states[bucket]
  size = size + 1
  reply[size] = double(
    '<ddddd',
    counts and charge.algorithm.used(state, charge) or 0,
    counts and charge.algorithm.reset(state, charge) or 0,
    wait == NEVER and -1 or wait,
    wait == 0 and 0 or sign * max(0, blockedFor(i)),
    receipt
  )
end

local function decide(count)
  local admitted = true
  for i = 1, count do
    if not states[buckets[i]] then read(i, count) end
    local wait = evaluate(i)
    waits[i] = wait
    if wait > 0 and not asked[i].shadow then admitted = false end
  end
  size = size + 1
  reply[size] = DECIDED
  for i = 1, count do answer(i, admitted) end
end

local at = 1
while at <= #asking do
  local times, count = numbers(at)
  at = at + 4
  for i = 1, count do
    local owner, kind = numbers(at)
    owners[i], asked[i] = owner, kinds[kind]
    buckets[i] = owner * width + kinds[kind].column
    at = at + 4
  end
  for _ = 1, times do
    local before = size
    local ok, problem = pcall(decide, count)
    if not ok then
      size = before + 1
      reply[size] = FAILED
      errors[#errors + 1] = type(problem) == 'table' and problem.err or tostring(problem)
    end
  end
end

-- For how long the key of a bucket is to live at least, and for how long else; 0 when it does.
local function lifeOf(bucket, charge)
  local lasts, marked = charge.algorithm.lasts, marks[bucket]
  local untilMs = now + charge.algorithm.reset(states[bucket], charge)
  -- Of marked ones too, since marks may be taken away: see take.
  if lasts then untilMs = eighthAfter(untilMs, charge.eighth) end
  if marked then
    untilMs = max(untilMs, marked[BLOCKED_UNTIL], marked[STRIKES_END])
  elseif untilMs == keptUntil[bucket] then
    return 0, 0
  end
  local ms = untilMs - now
  return ms, lasts and ms or ms + ceil(ms / 8)
end

local function written(bucket, charge)
  return packed(births[bucket], closed(states[bucket], charge, births[bucket]), marks[bucket])
end

-- One write an identity. A server that refuses one (out of memory, a replica) refuses the first of a script,
-- so that nothing is written by halves.
for i = 1, #changed do
  local owner = changed[i]
  local key, bucket = KEYS[owner], lastOf[owner]
  local count, leastMs, ms = 0, 0, 0
  while bucket ~= 0 do
    local charge = chargeOf[bucket]
    local bucketLeastMs, bucketMs = lifeOf(bucket, charge)
    leastMs, ms = max(leastMs, bucketLeastMs), max(ms, bucketMs)
    values[count + 1], values[count + 2] = charge.field, written(bucket, charge)
    count, bucket = count + 2, beforeOf[bucket]
  end
  call('HSET', key, unpack(values, 1, count))
  if leastMs > 0 then keepFor(key, leastMs, ms) end
end
return { table.concat(reply, '', 1, size), unpack(errors) }
