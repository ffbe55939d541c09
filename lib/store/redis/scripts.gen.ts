// Made from scripts/*.lua by `npm run embed-lua`.
export const SCRIPTS: Readonly<Record<'block' | 'consume' | 'count' | 'counted' | 'forget' | 'refund', string>> = {
  block: `local time = redis.call('TIME')
local microseconds = time[1] * 1000000 + time[2]
local newGeneration = math.floor(microseconds / 32)
local now = tonumber(ARGV[1]) or math.floor(microseconds / 1000)
local BLOCK, IDENTITY_BLOCK, IDENTITY_BLOCK_SIZE = 'block', '<I6I6', 12
local VERSION, HEAD, HEAD_SIZE, MARKS, MARKS_SIZE, STATE, STATE_SIZE = 2, '<BBI6', 8, '<I6I6I2I6', 20, '<I7I6', 13
local HEAD_AND_STATE = '<BBI6I7I6'
local LONG = 2 ^ 31
local RULE, RULE_SIZE = '<BI6I7I7I7BB', 30
local MAX_ENTRIES, MERGED_ENTRIES = 96, 80
local NEVER = math.huge
local call, unpackFrom, pack, sub = redis.call, struct.unpack, struct.pack, string.sub
local floor, ceil, max = math.floor, math.ceil, math.max
local owner, leastMs, lifeMs = 1, tonumber(ARGV[2]), tonumber(ARGV[2])
call('HSET', KEYS[owner], BLOCK, pack(IDENTITY_BLOCK, now + lifeMs, lifeMs))
if ARGV[1] ~= '' then leastMs = max(leastMs, 60000) end
lifeMs = max(lifeMs, leastMs)
if leastMs > 0 and call('PTTL', KEYS[owner]) < leastMs then call('PEXPIRE', KEYS[owner], lifeMs) end
return 1`,
  consume: `local time = redis.call('TIME')
local microseconds = time[1] * 1000000 + time[2]
local newGeneration = math.floor(microseconds / 32)
local now = tonumber(ARGV[1]) or math.floor(microseconds / 1000)
local BLOCK, IDENTITY_BLOCK, IDENTITY_BLOCK_SIZE = 'block', '<I6I6', 12
local VERSION, HEAD, HEAD_SIZE, MARKS, MARKS_SIZE, STATE, STATE_SIZE = 2, '<BBI6', 8, '<I6I6I2I6', 20, '<I7I6', 13
local HEAD_AND_STATE = '<BBI6I7I6'
local LONG = 2 ^ 31
local RULE, RULE_SIZE = '<BI6I7I7I7BB', 30
local MAX_ENTRIES, MERGED_ENTRIES = 96, 80
local NEVER = math.huge
local call, unpackFrom, pack, sub = redis.call, struct.unpack, struct.pack, string.sub
local floor, ceil, max = math.floor, math.ceil, math.max
local mode, asking = ARGV[2], ARGV[3]
local writes, byte = mode ~= 'peek', string.byte
local ZERO = 48 * 64 + 48
local FIELD, TEXT, CODE, WINDOW, LIMIT, CAPACITY, COST, FLAGS, BLOCKS = 1, 2, 3, 4, 5, 6, 7, 8, 9
local kinds = {}
for i = 4, #ARGV do
  local rule = ARGV[i]
  kinds[i - 3] = { sub(rule, RULE_SIZE + 1 + 6 * byte(rule, RULE_SIZE)), rule, unpackFrom(RULE, rule) }
end
local s, SLOTS = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 17
local OWNER, KIND, GENERATION, AMOUNT, TIME, MARKS_OF, KEPT, WAIT, BLOCKED, CHANGED = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local ADDED, RAW, FIRST, LAST, FORMAT, SIZE, BASE = 11, 12, 13, 14, 15, 16, 17
local names, values = { BLOCK, '' }, { '', '' }
local DECIDED, FAILED = '\\0\\0\\0\\0\\0\\0\\0\\0', '\\0\\0\\0\\0\\0\\0\\240\\63'
local reply, size, errors = { pack('<d', now), '', '', '' }, 1, nil
local from = 1
while from <= #asking do
  local b1, b2, b3, b4 = byte(asking, from, from + 3)
  local repetitions, last = b1 * 64 + b2 - ZERO, (b3 * 64 + b4 - ZERO - 1) * SLOTS
  from = from + 4
  for c = 0, last, SLOTS do
    b1, b2, b3, b4 = byte(asking, from, from + 3)
    s[c + OWNER], s[c + KIND], s[c + GENERATION] = b1 * 64 + b2 - ZERO, kinds[b3 * 64 + b4 - ZERO], false
    from = from + 4
  end
  local failure
  for first = 0, last, SLOTS do
    if not s[first + GENERATION] then
      local owner, count = s[first + OWNER], 1
      for c = first, last, SLOTS do
        if s[c + OWNER] == owner then
          count = count + 1
          names[count] = s[c + KIND][FIELD]
        end
      end
      local found = redis.pcall('HMGET', KEYS[owner], unpack(names, 1, count))
      local block, blockedUntil = found[1], 0
      if found.err then
        failure = found.err
        break
      elseif block then
        if #block ~= IDENTITY_BLOCK_SIZE then
          failure = 'The field block of ' .. KEYS[owner] .. ' is not of this version.'
          break
        end
        local durationMs
        blockedUntil, durationMs = unpackFrom(IDENTITY_BLOCK, block)
        if blockedUntil > now + durationMs then
          blockedUntil = now + durationMs
          if writes then call('HSET', KEYS[owner], BLOCK, pack(IDENTITY_BLOCK, blockedUntil, durationMs)) end
        end
      end
      count = 1
      for c = first, last, SLOTS do
        if s[c + OWNER] == owner then
          count = count + 1
          local raw, kind, isMoved = found[count], s[c + KIND], false
          local amount, timeMs, added, generation, marks, kept = 0, now, 0, 0, false, false
          local length = raw and #raw or 0
          local isBucket = not raw or (length >= HEAD_SIZE and byte(raw) == VERSION)
          if raw and isBucket then
            local flag, at, _ = byte(raw, 2), HEAD_SIZE + 1, nil
            if flag % 2 == 0 and length >= HEAD_SIZE + STATE_SIZE then
              _, _, generation, amount, timeMs, at = unpackFrom(HEAD_AND_STATE, raw)
            elseif flag % 2 == 1 and length >= HEAD_SIZE + MARKS_SIZE then
              _, _, generation = unpackFrom(HEAD, raw)
              local untilMs, durationMs, offenses, offensesEnd
              untilMs, durationMs, offenses, offensesEnd, at = unpackFrom(MARKS, raw, at)
              local ahead = untilMs - durationMs - now
              if ahead > 0 then untilMs, offensesEnd, isMoved = untilMs - ahead, max(0, offensesEnd - ahead), true end
              marks = { untilMs, durationMs, offenses, offensesEnd }
              if length >= at - 1 + STATE_SIZE then amount, timeMs, at = unpackFrom(STATE, raw, at) end
            end
            if amount > 0 then
              local code, windowMs, limit, capacity = kind[CODE], kind[WINDOW], kind[LIMIT], kind[CAPACITY]
if code == 102 then
isBucket = at > length
if timeMs + windowMs <= now then amount = 0 end
if timeMs > now then
  timeMs, isMoved = now, true
else
  kept = timeMs + windowMs
end
elseif code == 115 then
local countSize, stampSize = floor(flag / 2), windowMs >= LONG and 6 or 4
local format = countSize == 1 and stampSize == 4 and '<I4B' or '<I' .. stampSize .. 'I' .. countSize
local entry, base, last = stampSize + countSize, timeMs, length + 1
isBucket = countSize >= 1 and countSize <= 7 and at < last and (last - at) % entry == 0
while isBucket and at < last do
  local stamp, units = unpackFrom(format, raw, at)
  if base + stamp + windowMs > now then break end
  amount, at = amount - units, at + entry
end
if isBucket and at < last then
  timeMs = base + unpackFrom(format, raw, last - entry)
  kept = timeMs + windowMs
  while timeMs > now do
    local _, units = unpackFrom(format, raw, last - entry)
    added, last, isMoved, kept = added + units, last - entry, true, false
    timeMs = at < last and base + unpackFrom(format, raw, last - entry) or now
  end
end
s[c + RAW], s[c + FIRST], s[c + LAST], s[c + FORMAT], s[c + SIZE], s[c + BASE] = raw, at, last, format, entry, base
elseif code == 116 then
isBucket = at > length
local elapsed = now - timeMs
if elapsed < 0 then elapsed, isMoved = 0, true end
if amount > capacity * windowMs then amount = capacity * windowMs end
if limit > 0 then amount = elapsed >= ceil(amount / limit) and 0 or amount - elapsed * limit end
timeMs = now
end
            else
              isBucket = at > length
            end
          end
          if not isBucket then
            failure = 'The field ' .. names[count] .. ' of ' .. KEYS[owner] .. ' is not a bucket of this version.'
            break
          end
          s[c + GENERATION], s[c + AMOUNT], s[c + TIME], s[c + ADDED] = generation, amount, timeMs, added
          s[c + MARKS_OF], s[c + KEPT] = marks, kept
          s[c + BLOCKED] = (marks and marks[1] > blockedUntil and marks[1] or blockedUntil) - now
          s[c + CHANGED] = isMoved and writes
        end
      end
      if failure then break end
    end
  end
  for _ = 1, failure and 0 or repetitions do
    local admitted = true
    for c = 0, last, SLOTS do
      local kind, amount, wait = s[c + KIND], s[c + AMOUNT], 0
      local code, windowMs, limit, capacity, cost = kind[CODE], kind[WINDOW], kind[LIMIT], kind[CAPACITY], kind[COST]
      if limit == 0 or cost > capacity then
        wait = NEVER
      elseif cost > 0 then
if code == 102 then
if amount + cost > limit then wait = s[c + TIME] + windowMs - now end
elseif code == 115 then
local over = amount + cost - limit
if over > 0 then
  wait = windowMs
  local raw, at, last = s[c + RAW], s[c + FIRST], s[c + LAST]
  while raw and at < last do
    local stamp, units = unpackFrom(s[c + FORMAT], raw, at)
    over, at = over - units, at + s[c + SIZE]
    if over <= 0 then
      wait = s[c + BASE] + stamp + windowMs - now
      break
    end
  end
end
elseif code == 116 then
local over = amount + (cost - capacity) * windowMs
if over > 0 then wait = ceil(over / limit) end
end
      end
      if limit > 0 and s[c + BLOCKED] > wait then wait = s[c + BLOCKED] end
      s[c + WAIT] = wait
      if wait > 0 and kind[FLAGS] % 2 == 0 then admitted = false end
    end
    size = size + 1
    local status, steadyMs = size, 1000
    for c = 0, last, SLOTS do
      local kind, wait, receipt, sign = s[c + KIND], s[c + WAIT], 0, 1
      local code, windowMs, limit, cost, marks = kind[CODE], kind[WINDOW], kind[LIMIT], kind[COST], s[c + MARKS_OF]
      if wait == 0 then
        if admitted and cost > 0 and mode == 'consume' then
          if s[c + AMOUNT] == 0 then
            if not marks or (marks[1] <= now and marks[4] <= now) then
              s[c + GENERATION], s[c + MARKS_OF] = newGeneration, false
            end
            s[c + TIME], s[c + RAW], s[c + ADDED] = now, false, 0
          end
if code == 102 then
s[c + AMOUNT] = s[c + AMOUNT] + cost
elseif code == 115 then
s[c + AMOUNT], s[c + ADDED] = s[c + AMOUNT] + cost, s[c + ADDED] + cost
elseif code == 116 then
s[c + AMOUNT] = s[c + AMOUNT] + cost * windowMs
end
          s[c + CHANGED], receipt = true, s[c + GENERATION]
        end
      elseif kind[BLOCKS] > 0 and writes and s[c + BLOCKED] <= 0 and wait ~= NEVER and kind[FLAGS] % 2 == 0 then
        local count = kind[BLOCKS]
        local lengths = { unpackFrom('<' .. string.rep('I6', count), kind[TEXT], RULE_SIZE + 1) }
        local offenses = math.min(marks and marks[4] > now and marks[3] or 0, 65534)
        local lengthMs = lengths[math.min(offenses + 1, count)]
        marks = { now + lengthMs, lengthMs, 0, 0 }
        if count > 1 then marks[3], marks[4] = offenses + 1, now + lengthMs + lengths[count] end
        s[c + MARKS_OF], s[c + BLOCKED], s[c + CHANGED] = marks, lengthMs, true
        wait, sign = max(wait, lengthMs), -1
      end
      local amount, used, reset = s[c + AMOUNT], 0, 0
      if s[c + BLOCKED] > 0 then steadyMs = math.min(steadyMs, s[c + BLOCKED]) end
      if limit > 0 and amount > 0 then
if code == 102 then
used, reset = amount, s[c + TIME] + windowMs - now
elseif code == 115 then
used, reset = amount, (s[c + ADDED] > 0 and now or s[c + TIME]) + windowMs - now
elseif code == 116 then
used, reset = ceil(amount / windowMs), ceil(amount / limit)
end
        if not admitted then
if code == 102 then
steadyMs = math.min(steadyMs, reset)
elseif code == 115 then
steadyMs = math.min(steadyMs, windowMs)
if s[c + RAW] and s[c + FIRST] < s[c + LAST] then
  local stamp = s[c + BASE] + unpackFrom(s[c + FORMAT], s[c + RAW], s[c + FIRST])
  steadyMs = math.min(steadyMs, stamp + windowMs - now)
end
elseif code == 116 then
if writes and ARGV[1] == '' and call('PTTL', KEYS[s[c + OWNER]]) < reset then
  call('PEXPIRE', KEYS[s[c + OWNER]], reset + ceil(reset / 8))
end
steadyMs = math.min(steadyMs, ceil((amount - (used - 1) * windowMs) / limit))
end
        end
      end
      size = size + 1
      reply[size] = pack(
        '<ddddd',
        used,
        reset,
        wait == NEVER and -1 or wait,
        wait == 0 and 0 or sign * max(0, s[c + BLOCKED]),
        receipt
      )
    end
    reply[status] = admitted and DECIDED or pack('<d', -steadyMs)
  end
  if failure then
    errors = errors or {}
    for _ = 1, repetitions do
      size = size + 1
      reply[size], errors[#errors + 1] = FAILED, failure
    end
  end
  for first = 0, failure and -1 or last, SLOTS do
    if s[first + CHANGED] then
      local owner, count, leastMs, lifeMs = s[first + OWNER], 0, 0, 0
      for c = first, last, SLOTS do
        if s[c + OWNER] == owner and s[c + CHANGED] then
          s[c + CHANGED] = false
          local kind, marks, amount, timeMs = s[c + KIND], s[c + MARKS_OF], s[c + AMOUNT], s[c + TIME]
          local code, windowMs, limit, endsAt, flag = kind[CODE], kind[WINDOW], kind[LIMIT], nil, 0
          local entries, entry = '', ''
          if amount > 0 then
if code == 102 then
endsAt = timeMs + windowMs
elseif code == 115 then
local raw, units, base, format = s[c + RAW], s[c + ADDED], now, nil
local stampSize, countSize = windowMs >= LONG and 6 or 4, 0
endsAt = (units > 0 and now or timeMs) + windowMs
if raw then
  local at, last, size = s[c + FIRST], s[c + LAST], s[c + SIZE]
  format, base, countSize = s[c + FORMAT], s[c + BASE], size - stampSize
  if units > 0 and at < last and timeMs == now then
    local _, before = unpackFrom(format, raw, last - size)
    units, last = units + before, last - size
  end
  local isTooLong = (last - at) / size >= MAX_ENTRIES and kind[FLAGS] < 2
  if at == last then
    countSize = 0
  elseif units > 0 and (isTooLong or units >= 256 ^ countSize or now - base >= 4294967296 and stampSize == 4) then
    local stamps, counts, number = {}, {}, 1
    while at < last do
      stamps[number], counts[number] = unpackFrom(format, raw, at)
      stamps[number], number, at = base + stamps[number], number + 1, at + size
    end
    stamps[number], counts[number], units = now, units, 0
    local most, part = ceil(limit / 32), ceil(windowMs / 32)
    while isTooLong do
      local merged = 1
      for i = 2, number do
        local sum = counts[merged] + counts[i]
        if sum <= most and floor(stamps[merged] / part) == floor(stamps[i] / part) then
          counts[merged] = sum
        else
          merged = merged + 1
          counts[merged] = counts[i]
        end
        stamps[merged] = stamps[i]
      end
      isTooLong, number, part = merged > MERGED_ENTRIES and part < NEVER, merged, NEVER
    end
    for i = 1, number do most = max(most, counts[i]) end
    countSize = most < 256 and 1 or most < 65536 and 2 or most < 4294967296 and 4 or 7
    format, base = '<I' .. stampSize .. 'I' .. countSize, stampSize == 4 and stamps[1] or 0
    for i = 1, number do stamps[i] = pack(format, stamps[i] - base, counts[i]) end
    entries = table.concat(stamps, '', 1, number)
  else
    entries = sub(raw, at, last - 1)
  end
end
if countSize == 0 then
  local most = max(ceil(limit / 32), units)
  countSize = most < 256 and 1 or most < 65536 and 2 or most < 4294967296 and 4 or 7
  format, base = '<I' .. stampSize .. 'I' .. countSize, stampSize == 4 and now or 0
end
if units > 0 then entry = pack(format, now - base, units) end
timeMs, flag = base, 2 * countSize
elseif code == 116 then
local reset = ceil(amount / limit)
leastMs, lifeMs = max(leastMs, reset), max(lifeMs, reset + ceil(reset / 8))
end
          end
          if endsAt then
            local eighth = ceil(windowMs / 8)
            local eighths, kept = floor(endsAt / eighth) + 1, s[c + KEPT]
            if marks or not kept or floor(kept / eighth) + 1 ~= eighths then
              leastMs = max(leastMs, eighths * eighth - now)
            end
          end
          local head
          if not marks then
            head = pack(HEAD_AND_STATE, VERSION, flag, s[c + GENERATION], amount, timeMs)
          else
            head = pack(HEAD, VERSION, flag + 1, s[c + GENERATION]) .. pack(MARKS, marks[1], marks[2], marks[3], marks[4])
            if amount > 0 then head = head .. pack(STATE, amount, timeMs) end
            leastMs = max(leastMs, marks[1] - now, marks[4] - now)
          end
          values[count + 1], values[count + 2], count = kind[FIELD], head .. entries .. entry, count + 2
        end
      end
      call('HSET', KEYS[owner], unpack(values, 1, count))
if ARGV[1] ~= '' then leastMs = max(leastMs, 60000) end
lifeMs = max(lifeMs, leastMs)
if leastMs > 0 and call('PTTL', KEYS[owner]) < leastMs then call('PEXPIRE', KEYS[owner], lifeMs) end
    end
  end
end
local numbers = table.concat(reply, '', 1, size)
if errors then return { numbers, unpack(errors) } end
return numbers`,
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
  forget: `local BLOCK, IDENTITY_BLOCK, IDENTITY_BLOCK_SIZE = 'block', '<I6I6', 12
local VERSION, HEAD, HEAD_SIZE, MARKS, MARKS_SIZE, STATE, STATE_SIZE = 2, '<BBI6', 8, '<I6I6I2I6', 20, '<I7I6', 13
local HEAD_AND_STATE = '<BBI6I7I6'
local LONG = 2 ^ 31
local RULE, RULE_SIZE = '<BI6I7I7I7BB', 30
local MAX_ENTRIES, MERGED_ENTRIES = 96, 80
local NEVER = math.huge
local call, unpackFrom, pack, sub = redis.call, struct.unpack, struct.pack, string.sub
local floor, ceil, max = math.floor, math.ceil, math.max
local key, target, start = KEYS[1], ARGV[2], ARGV[3]
if target == 'blocks' then
  call('HDEL', key, BLOCK)
  local all = call('HGETALL', key)
  for at = 1, #all, 2 do
    local raw = all[at + 1]
    local version, flag, generation, start = 0, 0, 0, 0
    if #raw >= HEAD_SIZE then version, flag, generation, start = unpackFrom(HEAD, raw) end
    if version == VERSION and flag % 2 == 1 then
      if #raw < start + MARKS_SIZE then
        call('HDEL', key, all[at])
      else
        call('HSET', key, all[at], pack(HEAD, VERSION, flag - 1, generation) .. sub(raw, start + MARKS_SIZE))
      end
    end
  end
elseif start == '' then
  call('UNLINK', key)
else
  for _, field in ipairs(call('HKEYS', key)) do
    if sub(field, 1, #start) == start then call('HDEL', key, field) end
  end
end
return 1`,
  refund: `local time = redis.call('TIME')
local microseconds = time[1] * 1000000 + time[2]
local newGeneration = math.floor(microseconds / 32)
local now = tonumber(ARGV[1]) or math.floor(microseconds / 1000)
local BLOCK, IDENTITY_BLOCK, IDENTITY_BLOCK_SIZE = 'block', '<I6I6', 12
local VERSION, HEAD, HEAD_SIZE, MARKS, MARKS_SIZE, STATE, STATE_SIZE = 2, '<BBI6', 8, '<I6I6I2I6', 20, '<I7I6', 13
local HEAD_AND_STATE = '<BBI6I7I6'
local LONG = 2 ^ 31
local RULE, RULE_SIZE = '<BI6I7I7I7BB', 30
local MAX_ENTRIES, MERGED_ENTRIES = 96, 80
local NEVER = math.huge
local call, unpackFrom, pack, sub = redis.call, struct.unpack, struct.pack, string.sub
local floor, ceil, max = math.floor, math.ceil, math.max
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
      local before, first, last, rest = amount, at, at - 1, ''
if code == 102 then
if math.min(timeMs, now) == atMs + resetAfterMs - windowMs then amount = max(0, amount - cost) end
elseif code == 115 then
if atMs + windowMs > now then
  local countSize, stampSize = floor(flag / 2), windowMs >= LONG and 6 or 4
  local format, entry = '<I' .. stampSize .. 'I' .. countSize, stampSize + countSize
  while at <= #raw do
    local stamp, units = unpackFrom(format, raw, at)
    if math.min(timeMs + stamp, now) >= atMs then
      local back = math.min(cost, units)
      amount, first, last = amount - back, at, at + entry - 1
      if units > back then rest = pack(format, stamp, units - back) end
      break
    end
    at = at + entry
  end
end
elseif code == 116 then
local unpaid = cost * windowMs - limit * max(0, now - atMs)
if unpaid > 0 then
  local elapsed = max(0, now - timeMs)
  amount = math.min(amount, capacity * windowMs)
  amount = elapsed >= ceil(amount / limit) and 0 or amount - elapsed * limit
  amount, timeMs = max(0, amount - unpaid), now
end
end
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
return refunded`,
};
