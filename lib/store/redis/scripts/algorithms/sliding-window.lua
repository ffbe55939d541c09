-- The arithmetic of lib/core/algorithms/sliding-window.ts. The amount is the total of the entries; the time is stored as
-- the base of their stamps, and is the last stamp here. What is charged now is added up, and becomes an entry at the end.
-- @code s

-- @part settle
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
    -- Left by a clock that was set back: charged now.
    local _, units = unpackFrom(format, raw, last - entry)
    added, last, isMoved, kept = added + units, last - entry, true, false
    timeMs = at < last and base + unpackFrom(format, raw, last - entry) or now
  end
end
s[c + RAW], s[c + FIRST], s[c + LAST], s[c + FORMAT], s[c + SIZE], s[c + BASE] = raw, at, last, format, entry, base

-- @part wait
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

-- @part charge
s[c + AMOUNT], s[c + ADDED] = s[c + AMOUNT] + cost, s[c + ADDED] + cost

-- @part usage
used, reset = amount, (s[c + ADDED] > 0 and now or s[c + TIME]) + windowMs - now

-- @part change
steadyMs = math.min(steadyMs, windowMs)
if s[c + RAW] and s[c + FIRST] < s[c + LAST] then
  local stamp = s[c + BASE] + unpackFrom(s[c + FORMAT], s[c + RAW], s[c + FIRST])
  steadyMs = math.min(steadyMs, stamp + windowMs - now)
end

-- @part pack
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
    -- Written anew: merged, with larger numbers, or from a later base.
    local stamps, counts, number = {}, {}, 1
    while at < last do
      stamps[number], counts[number] = unpackFrom(format, raw, at)
      stamps[number], number, at = base + stamps[number], number + 1, at + size
    end
    stamps[number], counts[number], units = now, units, 0
    local most, part = ceil(limit / 32), ceil(windowMs / 32)
    while isTooLong do
      -- Merges neighbours in one 32nd of the window first; then, if that is not enough, at any distance.
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

-- @part refund
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
