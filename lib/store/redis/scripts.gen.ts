// Made from scripts/*.lua by `npm run embed-lua`.
export const SCRIPTS: Readonly<Record<'block' | 'consume' | 'count' | 'counted' | 'forget' | 'refund', string>> = {
  block: `local time = redis.call('TIME')
local microseconds = tonumber(time[1]) * 1000000 + tonumber(time[2])
local birth = math.floor(microseconds / 32)
local now = tonumber(ARGV[1]) or math.floor(microseconds / 1000)
local function whole(number)
  return string.format('%.0f', number)
end
local BLOCK = 'block'
local BLOCKED_UNTIL, STRIKES, STRIKES_END = 1, 2, 3
local pack, unpackFrom = cmsgpack.pack, cmsgpack.unpack_limit
local packBirth, unpackBirth, floor = struct.pack, struct.unpack, math.floor
local ALL = 100
local MARKED = 2 ^ 47
local BIRTH_MS = 0.032
local function parted(bornAt, _, ...)
  if bornAt < MARKED then return bornAt, { ... }, false end
  local blockedUntil, strikes, strikesEnd = ...
  return bornAt - MARKED, { select(4, ...) }, { blockedUntil + 0, strikes + 0, strikesEnd + 0 }
end
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
local function keepFor(key, leastMs, ms)
  if ARGV[1] ~= '' then leastMs, ms = math.max(leastMs, 60000), math.max(ms, 67500) end
  if redis.call('PTTL', key) < leastMs then redis.call('PEXPIRE', key, whole(ms)) end
end
local forMs = tonumber(ARGV[2])
redis.call('HSET', KEYS[1], BLOCK, whole(now + forMs))
keepFor(KEYS[1], forMs, forMs)
return 1`,
  consume: `local time = redis.call('TIME')
local microseconds = tonumber(time[1]) * 1000000 + tonumber(time[2])
local birth = math.floor(microseconds / 32)
local now = tonumber(ARGV[1]) or math.floor(microseconds / 1000)
local function whole(number)
  return string.format('%.0f', number)
end
local NEVER = math.huge
local makers = {}
makers['fixed-window'] = function()
  local algorithm
  algorithm = {
    lasts = true,
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
      state = algorithm.settle(state, rule)
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
    close = function(state, _, base)
      state[1] = state[1] - base
      return state
    end,
    open = function(state, _, base)
      state[1] = state[1] + base
      return state
    end,
  }
  return algorithm
end
makers['sliding-window'] = function()
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
  local algorithm
  algorithm = {
    lasts = true,
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
      state = algorithm.settle(state, rule)
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
    close = function(state, rule, base)
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
    open = function(kept, rule, base)
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
  return algorithm
end
makers['token-bucket'] = function()
  local function debtOf(state, rule)
    if #state == 0 then return 0 end
    local elapsed = now - state[1]
    if elapsed >= math.ceil(state[2] / rule.limit) then return 0 end
    return state[2] - elapsed * rule.limit
  end
  local algorithm
  algorithm = {
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
      local unpaid = charged.cost * rule.windowMs - rule.limit * math.max(0, now - charged.at)
      if unpaid <= 0 then return state end
      state = algorithm.settle(state, rule)
      if #state == 0 then return state end
      local debt = debtOf(state, rule) - unpaid
      if debt > 0 then return { now, debt } end
      return {}
    end,
    used = function(state, rule) return math.ceil(debtOf(state, rule) / rule.windowMs) end,
    reset = function(state, rule) return math.ceil(debtOf(state, rule) / rule.limit) end,
    close = function(state, _, base)
      state[1] = state[1] - base
      return state
    end,
    open = function(state, _, base)
      state[1] = state[1] + base
      return state
    end,
  }
  return algorithm
end
local algorithms = {}
local RULE = '^(%S+) (%d+) (%d+) (%d+)'
local function ruleOf(name, windowMs, limit, capacity)
  algorithms[name] = algorithms[name] or makers[name]()
  return {
    algorithm = algorithms[name],
    windowMs = tonumber(windowMs),
    limit = tonumber(limit),
    capacity = tonumber(capacity),
  }
end
local BLOCK = 'block'
local BLOCKED_UNTIL, STRIKES, STRIKES_END = 1, 2, 3
local pack, unpackFrom = cmsgpack.pack, cmsgpack.unpack_limit
local packBirth, unpackBirth, floor = struct.pack, struct.unpack, math.floor
local ALL = 100
local MARKED = 2 ^ 47
local BIRTH_MS = 0.032
local function parted(bornAt, _, ...)
  if bornAt < MARKED then return bornAt, { ... }, false end
  local blockedUntil, strikes, strikesEnd = ...
  return bornAt - MARKED, { select(4, ...) }, { blockedUntil + 0, strikes + 0, strikesEnd + 0 }
end
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
local function keepFor(key, leastMs, ms)
  if ARGV[1] ~= '' then leastMs, ms = math.max(leastMs, 60000), math.max(ms, 67500) end
  if redis.call('PTTL', key) < leastMs then redis.call('PEXPIRE', key, whole(ms)) end
end
local mode, asking = ARGV[2], ARGV[3]
local call, max, byte, double, ceil = redis.call, math.max, string.byte, struct.pack, math.ceil
local ZERO = 48 * 64 + 48
local function numbers(at)
  local high, low, nextHigh, nextLow = byte(asking, at, at + 3)
  return high * 64 + low - ZERO, nextHigh * 64 + nextLow - ZERO
end
local kinds, columns, width = {}, {}, 0
local KIND = RULE .. ' (%d+) ([01]) ([%d,]*)\$'
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
local blockedUntil = {}
local births, states, marks, keptUntil = {}, {}, {}, {}
local changed, lastOf, beforeOf, chargeOf = {}, {}, {}, {}
local owners, buckets, asked, waits = {}, {}, {}, {}
local names, readers, values = { BLOCK }, {}, {}
local NOTHING = {}
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
  if charge.algorithm.lasts and not marked and #state > 0 and ARGV[1] == '' then
    keptUntil[bucket] = eighthAfter(now + charge.algorithm.reset(state, charge), charge.eighth)
  end
end
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
  if moved and mode ~= 'peek' then change(i) end
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
local function lifeOf(bucket, charge)
  local lasts, marked = charge.algorithm.lasts, marks[bucket]
  local untilMs = now + charge.algorithm.reset(states[bucket], charge)
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
return { table.concat(reply, '', 1, size), unpack(errors) }`,
  count: `local counts, clients, denied, users, denials = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local writer, call, at = 'w:' .. ARGV[1], redis.call, 5
local function take()
  at = at + 1
  return ARGV[at - 1]
end
local first = at + 1
at = first + tonumber(ARGV[at])
for from = first, at - 1, 1000 do call('PFADD', clients, unpack(ARGV, from, math.min(from + 999, at - 1))) end
call('PEXPIRE', clients, ARGV[3])
if tonumber(call('HGET', counts, writer) or 0) >= tonumber(ARGV[2]) then return 0 end
call('HSET', counts, writer, ARGV[2])
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
  redis.call('PFCOUNT', KEYS[2]),
  redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'),
  redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', KEYS[5]),
}`,
  forget: `local time = redis.call('TIME')
local microseconds = tonumber(time[1]) * 1000000 + tonumber(time[2])
local birth = math.floor(microseconds / 32)
local now = tonumber(ARGV[1]) or math.floor(microseconds / 1000)
local function whole(number)
  return string.format('%.0f', number)
end
local BLOCK = 'block'
local BLOCKED_UNTIL, STRIKES, STRIKES_END = 1, 2, 3
local pack, unpackFrom = cmsgpack.pack, cmsgpack.unpack_limit
local packBirth, unpackBirth, floor = struct.pack, struct.unpack, math.floor
local ALL = 100
local MARKED = 2 ^ 47
local BIRTH_MS = 0.032
local function parted(bornAt, _, ...)
  if bornAt < MARKED then return bornAt, { ... }, false end
  local blockedUntil, strikes, strikesEnd = ...
  return bornAt - MARKED, { select(4, ...) }, { blockedUntil + 0, strikes + 0, strikesEnd + 0 }
end
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
local function keepFor(key, leastMs, ms)
  if ARGV[1] ~= '' then leastMs, ms = math.max(leastMs, 60000), math.max(ms, 67500) end
  if redis.call('PTTL', key) < leastMs then redis.call('PEXPIRE', key, whole(ms)) end
end
local key, what, start = KEYS[1], ARGV[2], ARGV[3]
if what == 'blocks' then
  redis.call('HDEL', key, BLOCK)
  local all = redis.call('HGETALL', key)
  for at = 1, #all, 2 do
    local bornAt, state, marks = unpacked(all[at + 1])
    if marks then
      if #state == 0 then
        redis.call('HDEL', key, all[at])
      else
        redis.call('HSET', key, all[at], packed(bornAt, state, false))
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
local microseconds = tonumber(time[1]) * 1000000 + tonumber(time[2])
local birth = math.floor(microseconds / 32)
local now = tonumber(ARGV[1]) or math.floor(microseconds / 1000)
local function whole(number)
  return string.format('%.0f', number)
end
local NEVER = math.huge
local makers = {}
makers['fixed-window'] = function()
  local algorithm
  algorithm = {
    lasts = true,
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
      state = algorithm.settle(state, rule)
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
    close = function(state, _, base)
      state[1] = state[1] - base
      return state
    end,
    open = function(state, _, base)
      state[1] = state[1] + base
      return state
    end,
  }
  return algorithm
end
makers['sliding-window'] = function()
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
  local algorithm
  algorithm = {
    lasts = true,
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
      state = algorithm.settle(state, rule)
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
    close = function(state, rule, base)
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
    open = function(kept, rule, base)
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
  return algorithm
end
makers['token-bucket'] = function()
  local function debtOf(state, rule)
    if #state == 0 then return 0 end
    local elapsed = now - state[1]
    if elapsed >= math.ceil(state[2] / rule.limit) then return 0 end
    return state[2] - elapsed * rule.limit
  end
  local algorithm
  algorithm = {
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
      local unpaid = charged.cost * rule.windowMs - rule.limit * math.max(0, now - charged.at)
      if unpaid <= 0 then return state end
      state = algorithm.settle(state, rule)
      if #state == 0 then return state end
      local debt = debtOf(state, rule) - unpaid
      if debt > 0 then return { now, debt } end
      return {}
    end,
    used = function(state, rule) return math.ceil(debtOf(state, rule) / rule.windowMs) end,
    reset = function(state, rule) return math.ceil(debtOf(state, rule) / rule.limit) end,
    close = function(state, _, base)
      state[1] = state[1] - base
      return state
    end,
    open = function(state, _, base)
      state[1] = state[1] + base
      return state
    end,
  }
  return algorithm
end
local algorithms = {}
local RULE = '^(%S+) (%d+) (%d+) (%d+)'
local function ruleOf(name, windowMs, limit, capacity)
  algorithms[name] = algorithms[name] or makers[name]()
  return {
    algorithm = algorithms[name],
    windowMs = tonumber(windowMs),
    limit = tonumber(limit),
    capacity = tonumber(capacity),
  }
end
local BLOCK = 'block'
local BLOCKED_UNTIL, STRIKES, STRIKES_END = 1, 2, 3
local pack, unpackFrom = cmsgpack.pack, cmsgpack.unpack_limit
local packBirth, unpackBirth, floor = struct.pack, struct.unpack, math.floor
local ALL = 100
local MARKED = 2 ^ 47
local BIRTH_MS = 0.032
local function parted(bornAt, _, ...)
  if bornAt < MARKED then return bornAt, { ... }, false end
  local blockedUntil, strikes, strikesEnd = ...
  return bornAt - MARKED, { select(4, ...) }, { blockedUntil + 0, strikes + 0, strikesEnd + 0 }
end
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
local function keepFor(key, leastMs, ms)
  if ARGV[1] ~= '' then leastMs, ms = math.max(leastMs, 60000), math.max(ms, 67500) end
  if redis.call('PTTL', key) < leastMs then redis.call('PEXPIRE', key, whole(ms)) end
end
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
return count`,
};
