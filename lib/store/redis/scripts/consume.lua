-- Decides requests in order. The charges of a request are written when each that is no shadow is admitted,
-- else none is. A request that cannot be decided, because one of its keys holds something else, fails alone.
--
-- KEYS     the identities' hashes, each once
-- ARGV[1]  now, see clock
-- ARGV[2]  `consume`; `peek`, which writes nothing; `block`, which writes no charge but starts blocks
-- then for each request
--   n      how many charges follow
--   and for each charge: the place of its key in KEYS; its field; and
--   `algorithm windowMs limit capacity cost shadow blocks`, as whole numbers, shadow as 0 or 1, blocks as
--   milliseconds joined by commas, or nothing
--
-- Returns { now, and for each request 0 or the text of an error; behind a 0, for each charge
--   used, reset, wait (-1 for ever), blocked (milliseconds left, below 0 when it has just begun), birth (0
--   when it was not charged) }

-- @include clock
-- @include algorithms
-- @include buckets

local mode = ARGV[2]
local call, max = redis.call, math.max

-- Charges by their text: most of a call's are alike.
local charges = {}

local function chargeOf(text)
  local cost, shadow, blocks = string.match(text, ' (%d+) ([01]) ([%d,]*)$')
  local charge = ruleOf(text)
  charge.cost, charge.shadow, charge.blocks = tonumber(cost), shadow == '1', {}
  for ms in string.gmatch(blocks, '%d+') do table.insert(charge.blocks, tonumber(ms)) end
  charges[text] = charge
  return charge
end

-- What has been read of each identity: its buckets by field, and until when it is blocked.
local identities, changed = {}, {}

local function identityOf(place)
  local identity = { buckets = {}, key = KEYS[place] }
  identities[place] = identity
  return identity
end

-- The request in hand, charge by charge. These tables serve every request in turn.
local owners, fields, asked, found, waits = {}, {}, {}, {}, {}

-- One read of all that a request needs of an identity.
local function read(identity, from, to)
  local names, count = { BLOCK }, 1
  for i = from, to do
    if owners[i] == identity and not identity.buckets[fields[i]] then
      count = count + 1
      names[count] = fields[i]
    end
  end
  local raw = call('HMGET', identity.key, unpack(names, 1, count))
  identity.blockedUntil = tonumber(raw[1] or 0)
  for i = 2, count do identity.buckets[names[i]] = unpacked(raw[i]) end
end

local function change(identity, field, charge)
  if not identity.changed then
    identity.changed = {}
    changed[#changed + 1] = identity
  end
  identity.changed[field] = charge
end

local function evaluate(i)
  local identity, field, charge = owners[i], fields[i], asked[i]
  local bucket = identity.buckets[field]
  found[i] = bucket
  local blocked = max(bucket.blockedUntil, identity.blockedUntil) - now
  if charge.limit == 0 then return NEVER end
  local state, moved = charge.algorithm.settle(bucket.state, charge)
  bucket.state = state
  -- Written even by a denial: otherwise the wait would start again at each look.
  if moved and mode ~= 'peek' then change(identity, field, charge) end
  -- Even for a cost of 0, so that a spoilt bucket fails before any is charged.
  local wait = charge.algorithm.wait(state, charge, charge.cost)
  return max(charge.cost == 0 and 0 or wait, blocked)
end

local reply, size = { now }, 1

local function answer(i, admitted)
  local identity, bucket, charge, wait, receipt, sign = owners[i], found[i], asked[i], waits[i], 0, 1
  if wait == 0 then
    if admitted and charge.cost > 0 and mode == 'consume' then
      if isEmpty(bucket) then bucket.birth = birth end
      bucket.state = charge.algorithm.charge(bucket.state, charge, charge.cost)
      receipt = bucket.birth
      change(identity, fields[i], charge)
    end
  elseif #charge.blocks > 0 and not charge.shadow and wait ~= NEVER and mode ~= 'peek' then
    if max(bucket.blockedUntil, identity.blockedUntil) <= now then
      wait, sign = max(wait, strike(bucket, charge.blocks)), -1
      change(identity, fields[i], charge)
    end
  end
  local counts = charge.limit > 0
  reply[size + 1] = counts and charge.algorithm.used(bucket.state, charge) or 0
  reply[size + 2] = counts and charge.algorithm.reset(bucket.state, charge) or 0
  reply[size + 3] = wait == NEVER and -1 or wait
  reply[size + 4] = sign * max(0, bucket.blockedUntil - now, identity.blockedUntil - now)
  reply[size + 5] = receipt
  size = size + 5
end

local function decide(at, count)
  for i = 1, count do
    local place, field, text = tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
    owners[i], fields[i], asked[i] = identities[place] or identityOf(place), field, charges[text] or chargeOf(text)
    at = at + 3
  end
  local admitted = true
  for i = 1, count do
    if not owners[i].buckets[fields[i]] then read(owners[i], i, count) end
    waits[i] = evaluate(i)
    if waits[i] > 0 and not asked[i].shadow then admitted = false end
  end
  size = size + 1
  reply[size] = 0
  for i = 1, count do answer(i, admitted) end
end

local at = 3
while at <= #ARGV do
  local count, before = tonumber(ARGV[at]), size
  local ok, problem = pcall(decide, at, count)
  if not ok then
    size = before + 1
    reply[size] = type(problem) == 'table' and problem.err or tostring(problem)
  end
  at = at + 1 + 3 * count
end

-- One write an identity. A server that refuses one (out of memory, a replica) refuses the first of a script,
-- so that nothing is written by halves.
for i = 1, #changed do
  local identity = changed[i]
  local values, count, longest = {}, 0, 0
  for field, charge in pairs(identity.changed) do
    local bucket = identity.buckets[field]
    values[count + 1], values[count + 2] = field, packed(bucket)
    count = count + 2
    longest = max(longest, charge.algorithm.reset(bucket.state, charge), bucket.blockedUntil - now, bucket.strikesEnd - now)
  end
  call('HSET', identity.key, unpack(values, 1, count))
  keepFor(identity.key, longest)
end
return reply
