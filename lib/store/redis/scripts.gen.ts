// Made from scripts/*.lua by `npm run embed-lua`.
export const SCRIPTS = {
  block: `local time = redis.call('TIME')
local birth = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = tonumber(ARGV[1]) or math.floor(birth / 1000)
local function whole(number)
  return string.format('%.0f', number)
end
local BLOCK = 'block'
local pack, unpackAll = cmsgpack.pack, cmsgpack.unpack
local packBirth, unpackBirth, sub = struct.pack, struct.unpack, string.sub
local function bucketOf(bornAt, blockedUntil, strikes, strikesEnd, kept)
  return {
    birth = bornAt,
    blockedUntil = blockedUntil,
    strikes = strikes,
    strikesEnd = strikesEnd,
    kept = kept,
    state = false,
    charge = false,
  }
end
local function bucketWith(bornAt, isMarked, ...)
  if isMarked + 0 == 0 then return bucketOf(bornAt, 0, 0, 0, { ... }) end
  local blockedUntil, strikes, strikesEnd = ...
  return bucketOf(bornAt, blockedUntil + 0, strikes + 0, strikesEnd + 0, { select(4, ...) })
end
local function sealed(raw)
  return bucketWith(unpackBirth('<I7', raw), unpackAll(sub(raw, 8)))
end
local function unpacked(raw, rule)
  if not raw then
    local bucket = bucketOf(birth, 0, 0, 0, false)
    bucket.state = {}
    return bucket
  end
  local bucket = sealed(raw)
  local kept = bucket.kept
  bucket.state = #kept == 0 and kept or rule.algorithm.opened(kept, rule, math.floor(bucket.birth / 1000))
  return bucket
end
local function packed(bucket)
  local bornAt = packBirth('<I7', bucket.birth)
  if bucket.blockedUntil == 0 and bucket.strikesEnd == 0 then return bornAt .. pack(0, unpack(bucket.kept)) end
  return bornAt .. pack(1, bucket.blockedUntil, bucket.strikes, bucket.strikesEnd, unpack(bucket.kept))
end
local function packedWith(bucket, rule)
  local state = bucket.state
  bucket.kept = #state == 0 and state or rule.algorithm.kept(state, rule, math.floor(bucket.birth / 1000))
  return packed(bucket)
end
local function isEmpty(bucket)
  return #(bucket.state or bucket.kept) == 0 and bucket.blockedUntil <= now and bucket.strikesEnd <= now
end
local function strike(bucket, lengths)
  local before = bucket.strikesEnd > now and bucket.strikes or 0
  local length = lengths[math.min(before + 1, #lengths)]
  bucket.blockedUntil = now + length
  if #lengths > 1 then
    bucket.strikes, bucket.strikesEnd = before + 1, now + length + lengths[#lengths]
  end
  return length
end
local function keepFor(key, ms)
  if ARGV[1] ~= '' then ms = math.max(ms, 60000) end
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, whole(ms + math.ceil(ms / 8))) end
end
local forMs = tonumber(ARGV[2])
redis.call('HSET', KEYS[1], BLOCK, whole(now + forMs))
keepFor(KEYS[1], forMs)
return 1`,
  consume: `local time = redis.call('TIME')
local birth = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = tonumber(ARGV[1]) or math.floor(birth / 1000)
local function whole(number)
  return string.format('%.0f', number)
end
local NEVER = math.huge
local algorithms = {}
algorithms['fixed-window'] = {
  settle = function(state, rule)
    if #state == 0 then return state end
    if state[1] + rule.windowMs <= now then return {} end
    if state[1] <= now then return state end
    state[1] = now
    return state, true
  end,
  wait = function(state, rule, cost)
    if cost > rule.limit then return NEVER end
    if #state == 0 or state[2] + cost <= rule.limit then return 0 end
    return state[1] + rule.windowMs - now
  end,
  charge = function(state, _, cost)
    if #state == 0 then return { now, cost } end
    state[2] = state[2] + cost
    return state
  end,
  refund = function(state, rule, charged)
    if #state == 0 or state[1] ~= charged.at + charged.resetAfter - rule.windowMs then return state end
    state[2] = state[2] - charged.cost
    if state[2] <= 0 then return {} end
    return state
  end,
  used = function(state) return state[2] or 0 end,
  reset = function(state, rule)
    if #state == 0 then return 0 end
    return state[1] + rule.windowMs - now
  end,
  kept = function(state, _, base) return { state[1] - base, state[2] } end,
  opened = function(kept, _, base) return { kept[1] + base, kept[2] } end,
}
local EXACT, COARSE = 0, 1
local ONES = 2
local FULL_OF_STAMPS = 1 + 2 * 32
local function subWindowEnd(windowMs, ms)
  local length = math.ceil(windowMs / 32)
  return (math.floor(ms / length) + 1) * length - 1
end
local function stampOf(state, rule, ms)
  if state[1] == COARSE then return subWindowEnd(rule.windowMs, ms) end
  return ms
end
local function append(state, stamp, count)
  local last = #state - 1
  if last >= 2 and state[last] == stamp then
    state[last + 1] = state[last + 1] + count
  else
    state[last + 2] = stamp
    state[last + 3] = count
  end
end
local function slice(state, from, to)
  local kept = { state[1] }
  for at = from, to do kept[#kept + 1] = state[at] end
  return kept
end
local function clamped(state, rule)
  local last, ahead = #state - 1, 0
  if state[last] <= now then return state end
  local latest = stampOf(state, rule, now)
  while last >= 2 and state[last] > latest do
    ahead = ahead + state[last + 1]
    last = last - 2
  end
  if ahead == 0 then return state end
  local kept = slice(state, 2, last + 1)
  append(kept, latest, ahead)
  return kept, true
end
local function usedBy(state)
  local sum = 0
  for at = 3, #state, 2 do sum = sum + state[at] end
  return sum
end
algorithms['sliding-window'] = {
  settle = function(state, rule)
    if #state == 0 then return state end
    local first = 2
    while first <= #state and state[first] + rule.windowMs <= now do first = first + 2 end
    if first > #state then return {} end
    if first > 2 then state = slice(state, first, #state) end
    return clamped(state, rule)
  end,
  wait = function(state, rule, cost)
    if cost > rule.limit then return NEVER end
    local over = usedBy(state) + cost - rule.limit
    if over <= 0 then return 0 end
    local at = 2
    while over > 0 do
      over = over - state[at + 1]
      at = at + 2
    end
    return state[at - 2] + rule.windowMs - now
  end,
  charge = function(state, rule, cost)
    if #state == 0 then return { EXACT, now, cost } end
    if state[1] == EXACT and #state == FULL_OF_STAMPS and state[#state - 1] ~= now then
      local coarse = { COARSE }
      for at = 2, #state, 2 do append(coarse, subWindowEnd(rule.windowMs, state[at]), state[at + 1]) end
      state = coarse
    end
    append(state, stampOf(state, rule, now), cost)
    return state
  end,
  refund = function(state, rule, charged)
    if #state == 0 then return state end
    local stamp = stampOf(state, rule, charged.at)
    for at = 2, #state, 2 do
      if state[at] == stamp then
        state[at + 1] = state[at + 1] - charged.cost
        if state[at + 1] <= 0 then
          table.remove(state, at)
          table.remove(state, at)
        end
        break
      end
    end
    if #state == 1 then return {} end
    return state
  end,
  used = usedBy,
  reset = function(state, rule)
    if #state == 0 then return 0 end
    return state[#state - 1] + rule.windowMs - now
  end,
  kept = function(state, rule, base)
    if state[1] == COARSE then
      local length = math.ceil(rule.windowMs / 32)
      local kept, last = { COARSE }, math.floor(base / length)
      for at = 2, #state, 2 do
        local index = (state[at] + 1) / length
        kept[at], kept[at + 1], last = index - last, state[at + 1], index
      end
      return kept
    end
    local kept, last = { ONES }, base
    for at = 2, #state, 2 do
      if state[at + 1] ~= 1 then
        kept, last = { EXACT }, base
        for pair = 2, #state, 2 do
          kept[pair], kept[pair + 1], last = state[pair] - last, state[pair + 1], state[pair]
        end
        return kept
      end
      kept[at / 2 + 1], last = state[at] - last, state[at]
    end
    return kept
  end,
  opened = function(kept, rule, base)
    local state, last = { kept[1] }, base
    if kept[1] == ONES then
      state[1] = EXACT
      for at = 2, #kept do
        last = last + kept[at]
        state[2 * at - 2], state[2 * at - 1] = last, 1
      end
      return state
    end
    local length = 1
    if kept[1] == COARSE then
      length = math.ceil(rule.windowMs / 32)
      last = math.floor(base / length)
    end
    for at = 2, #kept, 2 do
      last = last + kept[at]
      state[at], state[at + 1] = kept[1] == COARSE and last * length - 1 or last, kept[at + 1]
    end
    return state
  end,
}
local function debtOf(state, rule)
  if #state == 0 then return 0 end
  local elapsed = now - state[1]
  if elapsed >= math.ceil(state[2] / rule.limit) then return 0 end
  return state[2] - elapsed * rule.limit
end
algorithms['token-bucket'] = {
  settle = function(state, rule)
    if #state == 0 then return state end
    local ahead = state[1] > now
    if ahead then state[1] = now end
    if debtOf(state, rule) == 0 then return {} end
    return state, ahead
  end,
  wait = function(state, rule, cost)
    if cost > rule.capacity then return NEVER end
    local over = debtOf(state, rule) + (cost - rule.capacity) * rule.windowMs
    if over <= 0 then return 0 end
    return math.ceil(over / rule.limit)
  end,
  charge = function(state, rule, cost)
    return { now, debtOf(state, rule) + cost * rule.windowMs }
  end,
  refund = function(state, rule, charged)
    if #state == 0 then return state end
    local unpaid = charged.cost * rule.windowMs - rule.limit * math.max(0, now - charged.at)
    if unpaid <= 0 then return state end
    local debt = debtOf(state, rule) - unpaid
    if debt > 0 then return { now, debt } end
    return {}
  end,
  used = function(state, rule) return math.ceil(debtOf(state, rule) / rule.windowMs) end,
  reset = function(state, rule) return math.ceil(debtOf(state, rule) / rule.limit) end,
  kept = function(state, _, base) return { state[1] - base, state[2] } end,
  opened = function(kept, _, base) return { kept[1] + base, kept[2] } end,
}
local function ruleOf(text)
  local algorithm, windowMs, limit, capacity = string.match(text, '^(%S+) (%d+) (%d+) (%d+)')
  return {
    algorithm = algorithms[algorithm],
    windowMs = tonumber(windowMs),
    limit = tonumber(limit),
    capacity = tonumber(capacity),
  }
end
local BLOCK = 'block'
local pack, unpackAll = cmsgpack.pack, cmsgpack.unpack
local packBirth, unpackBirth, sub = struct.pack, struct.unpack, string.sub
local function bucketOf(bornAt, blockedUntil, strikes, strikesEnd, kept)
  return {
    birth = bornAt,
    blockedUntil = blockedUntil,
    strikes = strikes,
    strikesEnd = strikesEnd,
    kept = kept,
    state = false,
    charge = false,
  }
end
local function bucketWith(bornAt, isMarked, ...)
  if isMarked + 0 == 0 then return bucketOf(bornAt, 0, 0, 0, { ... }) end
  local blockedUntil, strikes, strikesEnd = ...
  return bucketOf(bornAt, blockedUntil + 0, strikes + 0, strikesEnd + 0, { select(4, ...) })
end
local function sealed(raw)
  return bucketWith(unpackBirth('<I7', raw), unpackAll(sub(raw, 8)))
end
local function unpacked(raw, rule)
  if not raw then
    local bucket = bucketOf(birth, 0, 0, 0, false)
    bucket.state = {}
    return bucket
  end
  local bucket = sealed(raw)
  local kept = bucket.kept
  bucket.state = #kept == 0 and kept or rule.algorithm.opened(kept, rule, math.floor(bucket.birth / 1000))
  return bucket
end
local function packed(bucket)
  local bornAt = packBirth('<I7', bucket.birth)
  if bucket.blockedUntil == 0 and bucket.strikesEnd == 0 then return bornAt .. pack(0, unpack(bucket.kept)) end
  return bornAt .. pack(1, bucket.blockedUntil, bucket.strikes, bucket.strikesEnd, unpack(bucket.kept))
end
local function packedWith(bucket, rule)
  local state = bucket.state
  bucket.kept = #state == 0 and state or rule.algorithm.kept(state, rule, math.floor(bucket.birth / 1000))
  return packed(bucket)
end
local function isEmpty(bucket)
  return #(bucket.state or bucket.kept) == 0 and bucket.blockedUntil <= now and bucket.strikesEnd <= now
end
local function strike(bucket, lengths)
  local before = bucket.strikesEnd > now and bucket.strikes or 0
  local length = lengths[math.min(before + 1, #lengths)]
  bucket.blockedUntil = now + length
  if #lengths > 1 then
    bucket.strikes, bucket.strikesEnd = before + 1, now + length + lengths[#lengths]
  end
  return length
end
local function keepFor(key, ms)
  if ARGV[1] ~= '' then ms = math.max(ms, 60000) end
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, whole(ms + math.ceil(ms / 8))) end
end
local mode, asking = ARGV[2], ARGV[3]
local call, max, byte, double = redis.call, math.max, string.byte, struct.pack
local ZERO = 48 * 64 + 48
local function numbers(at)
  local high, low, nextHigh, nextLow = byte(asking, at, at + 3)
  return high * 64 + low - ZERO, nextHigh * 64 + nextLow - ZERO
end
local function kindOf(at)
  local text = ARGV[at + 1]
  local cost, shadow, blocks = string.match(text, ' (%d+) ([01]) ([%d,]*)\$')
  local charge = ruleOf(text)
  charge.field, charge.cost, charge.shadow, charge.blocks = ARGV[at], tonumber(cost), shadow == '1', {}
  for ms in string.gmatch(blocks, '%d+') do table.insert(charge.blocks, tonumber(ms)) end
  return charge
end
local kinds = {}
for at = 4, #ARGV, 2 do kinds[#kinds + 1] = kindOf(at) end
local identities, changed = {}, {}
local owners, asked, found, waits = {}, {}, {}, {}
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
  if moved and mode ~= 'peek' then change(identity, bucket, charge) end
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
return { table.concat(reply, '', 1, size), unpack(errors) }`,
  count: `local counts, clients, denied, users, denials = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local writer, call = 'w:' .. ARGV[1], redis.call
if tonumber(call('HGET', counts, writer) or 0) >= tonumber(ARGV[2]) then return 0 end
call('HSET', counts, writer, ARGV[2])
local function raise(text, from, to)
  local places, ranks, read, write = {}, {}, {}, {}
  for at = from, to, 3 do
    local upper, lower, rank = string.byte(text, at, at + 2)
    local place = '#' .. ((upper - 48) * 64 + lower - 48)
    places[#places + 1], ranks[#ranks + 1] = place, rank - 48
    read[#read + 1], read[#read + 2], read[#read + 3] = 'GET', 'u8', place
  end
  for at, known in ipairs(call('BITFIELD', clients, unpack(read))) do
    if ranks[at] > known then
      local size = #write
      write[size + 1], write[size + 2], write[size + 3], write[size + 4] = 'SET', 'u8', places[at], ranks[at]
    end
  end
  if #write > 0 then call('BITFIELD', clients, unpack(write)) end
end
for from = 1, #ARGV[5], 3000 do raise(ARGV[5], from, math.min(from + 2999, #ARGV[5])) end
local at = 6
local function take()
  at = at + 1
  return ARGV[at - 1]
end
for _, kind in ipairs({ 'r', 'l' }) do
  for _ = 1, tonumber(take()) do
    local name, letters = take(), 'adsg'
    for count in string.gmatch(take(), '%d+') do
      if count ~= '0' then call('HINCRBY', counts, kind .. string.sub(letters, 1, 1) .. ':' .. name, count) end
      letters = string.sub(letters, 2)
    end
  end
end
for _ = 1, tonumber(take()) do
  local client = take()
  call('ZINCRBY', denied, take(), client)
end
for _ = 1, tonumber(take()) do
  local user = take()
  call('ZINCRBY', users, take(), user)
  local times = take()
  if times ~= '0' then call('HINCRBY', denials, user, times) end
end
local last = -1 - tonumber(ARGV[4])
call('ZREMRANGEBYRANK', denied, 0, last)
local gone = call('ZRANGE', users, 0, last)
if #gone > 0 then
  call('ZREM', users, unpack(gone))
  call('HDEL', denials, unpack(gone))
end
for _, key in ipairs(KEYS) do call('PEXPIRE', key, ARGV[3]) end
return 1`,
  counted: `return {
  redis.call('HGETALL', KEYS[1]),
  redis.call('GET', KEYS[2]) or '',
  redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'),
  redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', KEYS[5]),
}`,
  forget: `local time = redis.call('TIME')
local birth = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = tonumber(ARGV[1]) or math.floor(birth / 1000)
local function whole(number)
  return string.format('%.0f', number)
end
local BLOCK = 'block'
local pack, unpackAll = cmsgpack.pack, cmsgpack.unpack
local packBirth, unpackBirth, sub = struct.pack, struct.unpack, string.sub
local function bucketOf(bornAt, blockedUntil, strikes, strikesEnd, kept)
  return {
    birth = bornAt,
    blockedUntil = blockedUntil,
    strikes = strikes,
    strikesEnd = strikesEnd,
    kept = kept,
    state = false,
    charge = false,
  }
end
local function bucketWith(bornAt, isMarked, ...)
  if isMarked + 0 == 0 then return bucketOf(bornAt, 0, 0, 0, { ... }) end
  local blockedUntil, strikes, strikesEnd = ...
  return bucketOf(bornAt, blockedUntil + 0, strikes + 0, strikesEnd + 0, { select(4, ...) })
end
local function sealed(raw)
  return bucketWith(unpackBirth('<I7', raw), unpackAll(sub(raw, 8)))
end
local function unpacked(raw, rule)
  if not raw then
    local bucket = bucketOf(birth, 0, 0, 0, false)
    bucket.state = {}
    return bucket
  end
  local bucket = sealed(raw)
  local kept = bucket.kept
  bucket.state = #kept == 0 and kept or rule.algorithm.opened(kept, rule, math.floor(bucket.birth / 1000))
  return bucket
end
local function packed(bucket)
  local bornAt = packBirth('<I7', bucket.birth)
  if bucket.blockedUntil == 0 and bucket.strikesEnd == 0 then return bornAt .. pack(0, unpack(bucket.kept)) end
  return bornAt .. pack(1, bucket.blockedUntil, bucket.strikes, bucket.strikesEnd, unpack(bucket.kept))
end
local function packedWith(bucket, rule)
  local state = bucket.state
  bucket.kept = #state == 0 and state or rule.algorithm.kept(state, rule, math.floor(bucket.birth / 1000))
  return packed(bucket)
end
local function isEmpty(bucket)
  return #(bucket.state or bucket.kept) == 0 and bucket.blockedUntil <= now and bucket.strikesEnd <= now
end
local function strike(bucket, lengths)
  local before = bucket.strikesEnd > now and bucket.strikes or 0
  local length = lengths[math.min(before + 1, #lengths)]
  bucket.blockedUntil = now + length
  if #lengths > 1 then
    bucket.strikes, bucket.strikesEnd = before + 1, now + length + lengths[#lengths]
  end
  return length
end
local function keepFor(key, ms)
  if ARGV[1] ~= '' then ms = math.max(ms, 60000) end
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, whole(ms + math.ceil(ms / 8))) end
end
local key, what, start = KEYS[1], ARGV[2], ARGV[3]
if what == 'blocks' then
  redis.call('HDEL', key, BLOCK)
  local all = redis.call('HGETALL', key)
  for at = 1, #all, 2 do
    local bucket = sealed(all[at + 1])
    if bucket.blockedUntil > 0 or bucket.strikes > 0 then
      bucket.blockedUntil, bucket.strikes, bucket.strikesEnd = 0, 0, 0
      if isEmpty(bucket) then
        redis.call('HDEL', key, all[at])
      else
        redis.call('HSET', key, all[at], packed(bucket))
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
return 1`,
  refund: `local time = redis.call('TIME')
local birth = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = tonumber(ARGV[1]) or math.floor(birth / 1000)
local function whole(number)
  return string.format('%.0f', number)
end
local NEVER = math.huge
local algorithms = {}
algorithms['fixed-window'] = {
  settle = function(state, rule)
    if #state == 0 then return state end
    if state[1] + rule.windowMs <= now then return {} end
    if state[1] <= now then return state end
    state[1] = now
    return state, true
  end,
  wait = function(state, rule, cost)
    if cost > rule.limit then return NEVER end
    if #state == 0 or state[2] + cost <= rule.limit then return 0 end
    return state[1] + rule.windowMs - now
  end,
  charge = function(state, _, cost)
    if #state == 0 then return { now, cost } end
    state[2] = state[2] + cost
    return state
  end,
  refund = function(state, rule, charged)
    if #state == 0 or state[1] ~= charged.at + charged.resetAfter - rule.windowMs then return state end
    state[2] = state[2] - charged.cost
    if state[2] <= 0 then return {} end
    return state
  end,
  used = function(state) return state[2] or 0 end,
  reset = function(state, rule)
    if #state == 0 then return 0 end
    return state[1] + rule.windowMs - now
  end,
  kept = function(state, _, base) return { state[1] - base, state[2] } end,
  opened = function(kept, _, base) return { kept[1] + base, kept[2] } end,
}
local EXACT, COARSE = 0, 1
local ONES = 2
local FULL_OF_STAMPS = 1 + 2 * 32
local function subWindowEnd(windowMs, ms)
  local length = math.ceil(windowMs / 32)
  return (math.floor(ms / length) + 1) * length - 1
end
local function stampOf(state, rule, ms)
  if state[1] == COARSE then return subWindowEnd(rule.windowMs, ms) end
  return ms
end
local function append(state, stamp, count)
  local last = #state - 1
  if last >= 2 and state[last] == stamp then
    state[last + 1] = state[last + 1] + count
  else
    state[last + 2] = stamp
    state[last + 3] = count
  end
end
local function slice(state, from, to)
  local kept = { state[1] }
  for at = from, to do kept[#kept + 1] = state[at] end
  return kept
end
local function clamped(state, rule)
  local last, ahead = #state - 1, 0
  if state[last] <= now then return state end
  local latest = stampOf(state, rule, now)
  while last >= 2 and state[last] > latest do
    ahead = ahead + state[last + 1]
    last = last - 2
  end
  if ahead == 0 then return state end
  local kept = slice(state, 2, last + 1)
  append(kept, latest, ahead)
  return kept, true
end
local function usedBy(state)
  local sum = 0
  for at = 3, #state, 2 do sum = sum + state[at] end
  return sum
end
algorithms['sliding-window'] = {
  settle = function(state, rule)
    if #state == 0 then return state end
    local first = 2
    while first <= #state and state[first] + rule.windowMs <= now do first = first + 2 end
    if first > #state then return {} end
    if first > 2 then state = slice(state, first, #state) end
    return clamped(state, rule)
  end,
  wait = function(state, rule, cost)
    if cost > rule.limit then return NEVER end
    local over = usedBy(state) + cost - rule.limit
    if over <= 0 then return 0 end
    local at = 2
    while over > 0 do
      over = over - state[at + 1]
      at = at + 2
    end
    return state[at - 2] + rule.windowMs - now
  end,
  charge = function(state, rule, cost)
    if #state == 0 then return { EXACT, now, cost } end
    if state[1] == EXACT and #state == FULL_OF_STAMPS and state[#state - 1] ~= now then
      local coarse = { COARSE }
      for at = 2, #state, 2 do append(coarse, subWindowEnd(rule.windowMs, state[at]), state[at + 1]) end
      state = coarse
    end
    append(state, stampOf(state, rule, now), cost)
    return state
  end,
  refund = function(state, rule, charged)
    if #state == 0 then return state end
    local stamp = stampOf(state, rule, charged.at)
    for at = 2, #state, 2 do
      if state[at] == stamp then
        state[at + 1] = state[at + 1] - charged.cost
        if state[at + 1] <= 0 then
          table.remove(state, at)
          table.remove(state, at)
        end
        break
      end
    end
    if #state == 1 then return {} end
    return state
  end,
  used = usedBy,
  reset = function(state, rule)
    if #state == 0 then return 0 end
    return state[#state - 1] + rule.windowMs - now
  end,
  kept = function(state, rule, base)
    if state[1] == COARSE then
      local length = math.ceil(rule.windowMs / 32)
      local kept, last = { COARSE }, math.floor(base / length)
      for at = 2, #state, 2 do
        local index = (state[at] + 1) / length
        kept[at], kept[at + 1], last = index - last, state[at + 1], index
      end
      return kept
    end
    local kept, last = { ONES }, base
    for at = 2, #state, 2 do
      if state[at + 1] ~= 1 then
        kept, last = { EXACT }, base
        for pair = 2, #state, 2 do
          kept[pair], kept[pair + 1], last = state[pair] - last, state[pair + 1], state[pair]
        end
        return kept
      end
      kept[at / 2 + 1], last = state[at] - last, state[at]
    end
    return kept
  end,
  opened = function(kept, rule, base)
    local state, last = { kept[1] }, base
    if kept[1] == ONES then
      state[1] = EXACT
      for at = 2, #kept do
        last = last + kept[at]
        state[2 * at - 2], state[2 * at - 1] = last, 1
      end
      return state
    end
    local length = 1
    if kept[1] == COARSE then
      length = math.ceil(rule.windowMs / 32)
      last = math.floor(base / length)
    end
    for at = 2, #kept, 2 do
      last = last + kept[at]
      state[at], state[at + 1] = kept[1] == COARSE and last * length - 1 or last, kept[at + 1]
    end
    return state
  end,
}
local function debtOf(state, rule)
  if #state == 0 then return 0 end
  local elapsed = now - state[1]
  if elapsed >= math.ceil(state[2] / rule.limit) then return 0 end
  return state[2] - elapsed * rule.limit
end
algorithms['token-bucket'] = {
  settle = function(state, rule)
    if #state == 0 then return state end
    local ahead = state[1] > now
    if ahead then state[1] = now end
    if debtOf(state, rule) == 0 then return {} end
    return state, ahead
  end,
  wait = function(state, rule, cost)
    if cost > rule.capacity then return NEVER end
    local over = debtOf(state, rule) + (cost - rule.capacity) * rule.windowMs
    if over <= 0 then return 0 end
    return math.ceil(over / rule.limit)
  end,
  charge = function(state, rule, cost)
    return { now, debtOf(state, rule) + cost * rule.windowMs }
  end,
  refund = function(state, rule, charged)
    if #state == 0 then return state end
    local unpaid = charged.cost * rule.windowMs - rule.limit * math.max(0, now - charged.at)
    if unpaid <= 0 then return state end
    local debt = debtOf(state, rule) - unpaid
    if debt > 0 then return { now, debt } end
    return {}
  end,
  used = function(state, rule) return math.ceil(debtOf(state, rule) / rule.windowMs) end,
  reset = function(state, rule) return math.ceil(debtOf(state, rule) / rule.limit) end,
  kept = function(state, _, base) return { state[1] - base, state[2] } end,
  opened = function(kept, _, base) return { kept[1] + base, kept[2] } end,
}
local function ruleOf(text)
  local algorithm, windowMs, limit, capacity = string.match(text, '^(%S+) (%d+) (%d+) (%d+)')
  return {
    algorithm = algorithms[algorithm],
    windowMs = tonumber(windowMs),
    limit = tonumber(limit),
    capacity = tonumber(capacity),
  }
end
local BLOCK = 'block'
local pack, unpackAll = cmsgpack.pack, cmsgpack.unpack
local packBirth, unpackBirth, sub = struct.pack, struct.unpack, string.sub
local function bucketOf(bornAt, blockedUntil, strikes, strikesEnd, kept)
  return {
    birth = bornAt,
    blockedUntil = blockedUntil,
    strikes = strikes,
    strikesEnd = strikesEnd,
    kept = kept,
    state = false,
    charge = false,
  }
end
local function bucketWith(bornAt, isMarked, ...)
  if isMarked + 0 == 0 then return bucketOf(bornAt, 0, 0, 0, { ... }) end
  local blockedUntil, strikes, strikesEnd = ...
  return bucketOf(bornAt, blockedUntil + 0, strikes + 0, strikesEnd + 0, { select(4, ...) })
end
local function sealed(raw)
  return bucketWith(unpackBirth('<I7', raw), unpackAll(sub(raw, 8)))
end
local function unpacked(raw, rule)
  if not raw then
    local bucket = bucketOf(birth, 0, 0, 0, false)
    bucket.state = {}
    return bucket
  end
  local bucket = sealed(raw)
  local kept = bucket.kept
  bucket.state = #kept == 0 and kept or rule.algorithm.opened(kept, rule, math.floor(bucket.birth / 1000))
  return bucket
end
local function packed(bucket)
  local bornAt = packBirth('<I7', bucket.birth)
  if bucket.blockedUntil == 0 and bucket.strikesEnd == 0 then return bornAt .. pack(0, unpack(bucket.kept)) end
  return bornAt .. pack(1, bucket.blockedUntil, bucket.strikes, bucket.strikesEnd, unpack(bucket.kept))
end
local function packedWith(bucket, rule)
  local state = bucket.state
  bucket.kept = #state == 0 and state or rule.algorithm.kept(state, rule, math.floor(bucket.birth / 1000))
  return packed(bucket)
end
local function isEmpty(bucket)
  return #(bucket.state or bucket.kept) == 0 and bucket.blockedUntil <= now and bucket.strikesEnd <= now
end
local function strike(bucket, lengths)
  local before = bucket.strikesEnd > now and bucket.strikes or 0
  local length = lengths[math.min(before + 1, #lengths)]
  bucket.blockedUntil = now + length
  if #lengths > 1 then
    bucket.strikes, bucket.strikesEnd = before + 1, now + length + lengths[#lengths]
  end
  return length
end
local function keepFor(key, ms)
  if ARGV[1] ~= '' then ms = math.max(ms, 60000) end
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, whole(ms + math.ceil(ms / 8))) end
end
local count = 0
for at = 2, #ARGV, 7 do
  local key, field, rule = KEYS[tonumber(ARGV[at])], ARGV[at + 1], ruleOf(ARGV[at + 2])
  local raw = redis.call('HGET', key, field)
  local bucket = unpacked(raw, rule)
  if raw and bucket.birth == tonumber(ARGV[at + 6]) then
    local charged = {
      cost = tonumber(ARGV[at + 3]),
      at = tonumber(ARGV[at + 4]),
      resetAfter = tonumber(ARGV[at + 5]),
    }
    bucket.state = rule.algorithm.refund(rule.algorithm.settle(bucket.state, rule), rule, charged)
    if isEmpty(bucket) then
      redis.call('HDEL', key, field)
    else
      redis.call('HSET', key, field, packedWith(bucket, rule))
    end
    count = count + 1
  end
end
return count`,
} as const;
