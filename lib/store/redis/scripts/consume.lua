-- Decides requests in order. If every charge of a request that is not a shadow is admitted, its charges are written,
-- otherwise none. A request that cannot be decided, because a key holds another type, fails without the others.
--
-- KEYS     the identities' hashes, each once
-- ARGV[1]  now, see clock
-- ARGV[2]  `consume`; `peek`, which writes nothing; `block`, which writes no charge but starts blocks
-- ARGV[3]  the requests, as numbers of two characters each, see numbers; for each:
--   how many times it occurs; its number of charges; and for each charge the index of its key in KEYS and the index
--   of its kind
-- then for each kind of charge
--   its field; and `algorithm windowMs limit capacity cost shadow blocks`, as whole numbers, shadow as 0 or
--   1, blocks as milliseconds joined by commas, or nothing
--
-- Returns { numbers, error messages ... }. The numbers are little-endian doubles of eight bytes: now; for each request
-- 0, or 1 if it has the next of the errors; and after a 0, for each charge
--   used, reset, wait (-1: never), blocked (milliseconds left; negative if the block has just started), generation
--   (`birth` below; 0 if nothing was charged)
-- The numbers are one string, since clients take several times as long to parse them as an array.

-- @include clock
-- @include algorithms
-- @include buckets

local mode, asking = ARGV[2], ARGV[3]
local call, max, byte, double, ceil = redis.call, math.max, string.byte, struct.pack, math.ceil

-- Reads two numbers of two characters each, in base 64 from `0` on. Decimals would cost more, since each has to become
-- a string first.
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

-- Everything read so far, in lists: a table for each bucket would take longer than to decide. For an identity, by the
-- index of its key: when its block ends. For a bucket, by the index of its key times `width` plus the column of its
-- field: generation, state, marks or false, and when its key expires, if known.
local blockedUntil = {}
local births, states, marks, keptUntil = {}, {}, {}, {}

-- Everything to write: keys; for a key the last of its buckets; for a bucket the one before it, or 0, and the charge
-- that it is written for: if its state has ended under that charge's rule, the bucket is removed.
local changed, lastOf, beforeOf, chargeOf = {}, {}, {}, {}

-- The current request, charge by charge: the index of its key, its bucket and its kind. Reused by every request.
local owners, buckets, asked, waits = {}, {}, {}, {}
-- One of its identities: the fields to read, the buckets they belong to, and what to write.
local names, readers, values = { BLOCK }, {}, {}

local NOTHING = {}

-- A key is kept slightly longer than its buckets count, until the start of the window's next eighth, so that not every
-- charge has to check its expiry.
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
  -- Not under the clock of a test, see keepFor.
  if charge.algorithm.lasts and not marked and #state > 0 and ARGV[1] == '' then
    keptUntil[bucket] = eighthAfter(now + charge.algorithm.reset(state, charge), charge.eighth)
  end
end

-- Reads everything that a request needs of an identity in one call.
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

-- Blocks a bucket and returns for how long. Each block is longer than the one before, until no block was running for as
-- long as the longest.
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
  -- Even a denial writes this: otherwise the wait would start again each time.
  if moved and mode ~= 'peek' then change(i) end
  -- Even for a cost of 0, so that a corrupt bucket fails before any bucket is charged.
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

-- Returns how long a bucket's key must live at least, and what to set if it does not; 0 if it already does.
local function lifeOf(bucket, charge)
  local lasts, marked = charge.algorithm.lasts, marks[bucket]
  local untilMs = now + charge.algorithm.reset(states[bucket], charge)
  -- For marked buckets too, since marks may be removed: see take.
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

-- Writes each identity in one call. A server that refuses writes (out of memory, a replica) refuses the first one of a
-- script, so nothing is written partially.
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
