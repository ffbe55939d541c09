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
local call, max, byte, double = redis.call, math.max, string.byte, struct.pack

-- Two numbers of two characters each, which count from `0` on, to the base of 64: cheaper to read than decimals,
-- of which each would be a text first.
local ZERO = 48 * 64 + 48

local function numbers(at)
  local high, low, nextHigh, nextLow = byte(asking, at, at + 3)
  return high * 64 + low - ZERO, nextHigh * 64 + nextLow - ZERO
end

local function kindOf(at)
  local text = ARGV[at + 1]
  local cost, shadow, blocks = string.match(text, ' (%d+) ([01]) ([%d,]*)$')
  local charge = ruleOf(text)
  charge.field, charge.cost, charge.shadow, charge.blocks = ARGV[at], tonumber(cost), shadow == '1', {}
  for ms in string.gmatch(blocks, '%d+') do table.insert(charge.blocks, tonumber(ms)) end
  return charge
end

local kinds = {}
for at = 4, #ARGV, 2 do kinds[#kinds + 1] = kindOf(at) end

-- What has been read of each identity: its key, until when it is blocked, and its buckets by field, which are
-- no such words.
local identities, changed = {}, {}

-- The request in hand, charge by charge. These tables serve every request in turn.
local owners, asked, found, waits = {}, {}, {}, {}

-- One read of all that a request needs of an identity.
local function read(identity, from, to)
  if from == to then
    local charge = asked[from]
    local raw = call('HMGET', identity.key, BLOCK, charge.field)
    identity.blockedUntil = tonumber(raw[1] or 0)
    identity[charge.field] = unpacked(raw[2], charge)
    return
  end
  local names, rules, count = { BLOCK }, {}, 1
  for i = from, to do
    if owners[i] == identity and not identity[asked[i].field] then
      count = count + 1
      names[count], rules[count] = asked[i].field, asked[i]
    end
  end
  local raw = call('HMGET', identity.key, unpack(names, 1, count))
  identity.blockedUntil = tonumber(raw[1] or 0)
  for i = 2, count do identity[names[i]] = unpacked(raw[i], rules[i]) end
end

local function change(identity, bucket, charge)
  -- The charge of a bucket that is to be written: what has ended under it ends the bucket.
  if not bucket.charge then
    local buckets = identity.changed
    if buckets then
      buckets[#buckets + 1] = bucket
    else
      identity.changed = { bucket }
      changed[#changed + 1] = identity
    end
  end
  bucket.charge = charge
end

local function evaluate(i)
  local identity, charge = owners[i], asked[i]
  local bucket = identity[charge.field]
  found[i] = bucket
  local blocked = max(bucket.blockedUntil, identity.blockedUntil) - now
  if charge.limit == 0 then return NEVER end
  local state, moved = charge.algorithm.settle(bucket.state, charge)
  bucket.state = state
  -- Written even by a denial: otherwise the wait would start again at each look.
  if moved and mode ~= 'peek' then change(identity, bucket, charge) end
  -- Even for a cost of 0, so that a spoilt bucket fails before any is charged.
  local wait = charge.algorithm.wait(state, charge, charge.cost)
  if charge.cost == 0 then wait = 0 end
  if blocked > wait then return blocked end
  return wait
end

local reply, size, errors = { double('<d', now) }, 1, {}

local DECIDED, FAILED = double('<d', 0), double('<d', 1)

local function answer(i, admitted)
  local bucket, charge, wait, receipt, sign = found[i], asked[i], waits[i], 0, 1
  if wait == 0 then
    if admitted and charge.cost > 0 and mode == 'consume' then
      if isEmpty(bucket) then bucket.birth = birth end
      bucket.state = charge.algorithm.charge(bucket.state, charge, charge.cost)
      receipt = bucket.birth
      change(owners[i], bucket, charge)
    end
  elseif #charge.blocks > 0 and not charge.shadow and wait ~= NEVER and mode ~= 'peek' then
    if max(bucket.blockedUntil, owners[i].blockedUntil) <= now then
      wait, sign = max(wait, strike(bucket, charge.blocks)), -1
      change(owners[i], bucket, charge)
    end
  end
  local counts = charge.limit > 0
  size = size + 1
  reply[size] = double(
    '<ddddd',
    counts and charge.algorithm.used(bucket.state, charge) or 0,
    counts and charge.algorithm.reset(bucket.state, charge) or 0,
    wait == NEVER and -1 or wait,
    wait == 0 and 0 or sign * max(0, bucket.blockedUntil - now, owners[i].blockedUntil - now),
    receipt
  )
end

local function decide(count)
  local admitted = true
  for i = 1, count do
    if not owners[i][asked[i].field] then read(owners[i], i, count) end
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
    local place, kind = numbers(at)
    local identity = identities[place]
    if not identity then
      identity = { key = KEYS[place], blockedUntil = 0, changed = false, [kinds[kind].field] = false }
      identities[place] = identity
    end
    owners[i], asked[i] = identity, kinds[kind]
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

-- One write an identity. A server that refuses one (out of memory, a replica) refuses the first of a script,
-- so that nothing is written by halves.
for i = 1, #changed do
  local identity = changed[i]
  local buckets, longest = identity.changed, 0
  for j = 1, #buckets do
    local bucket = buckets[j]
    local charge = bucket.charge
    local ends = charge.algorithm.reset(bucket.state, charge)
    if bucket.blockedUntil > 0 or bucket.strikesEnd > 0 then ends = max(ends, bucket.blockedUntil - now, bucket.strikesEnd - now) end
    if ends > longest then longest = ends end
  end
  if #buckets == 1 then
    local bucket = buckets[1]
    call('HSET', identity.key, bucket.charge.field, packedWith(bucket, bucket.charge))
  else
    local values = {}
    for j = 1, #buckets do
      local bucket = buckets[j]
      values[2 * j - 1], values[2 * j] = bucket.charge.field, packedWith(bucket, bucket.charge)
    end
    call('HSET', identity.key, unpack(values))
  end
  keepFor(identity.key, longest)
end
return { table.concat(reply, '', 1, size), unpack(errors) }
