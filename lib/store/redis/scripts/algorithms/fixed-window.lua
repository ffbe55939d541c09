-- The arithmetic of lib/core/algorithms/fixed-window.ts. The amount is a count; the time is the start of its window.
-- @code f

-- @part settle
isBucket = at > length
if timeMs + windowMs <= now then amount = 0 end
if timeMs > now then
  timeMs, isMoved = now, true
else
  kept = timeMs + windowMs
end

-- @part wait
if amount + cost > limit then wait = s[c + TIME] + windowMs - now end

-- @part charge
s[c + AMOUNT] = s[c + AMOUNT] + cost

-- @part usage
used, reset = amount, s[c + TIME] + windowMs - now

-- @part change
steadyMs = math.min(steadyMs, reset)

-- @part pack
endsAt = timeMs + windowMs

-- @part refund
if math.min(timeMs, now) == atMs + resetAfterMs - windowMs then amount = max(0, amount - cost) end
