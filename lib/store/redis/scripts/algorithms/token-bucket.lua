-- The arithmetic of lib/core/algorithms/token-bucket.ts. The amount is a debt in units times the window, of which
-- `limit` are paid back per millisecond; the time is that of the debt.
-- @code t

-- @part settle
isBucket = at > length
local elapsed = now - timeMs
if elapsed < 0 then elapsed, isMoved = 0, true end
-- The limit or the burst may have been lowered since.
if amount > capacity * windowMs then amount = capacity * windowMs end
if limit > 0 then amount = elapsed >= ceil(amount / limit) and 0 or amount - elapsed * limit end
timeMs = now

-- @part wait
local over = amount + (cost - capacity) * windowMs
if over > 0 then wait = ceil(over / limit) end

-- @part charge
s[c + AMOUNT] = s[c + AMOUNT] + cost * windowMs

-- @part usage
used, reset = ceil(amount / windowMs), ceil(amount / limit)

-- @part change
-- A lower limit takes longer than the one it was charged under, for which the key is kept.
if writes and ARGV[1] == '' and call('PTTL', KEYS[s[c + OWNER]]) < reset then
  call('PEXPIRE', KEYS[s[c + OWNER]], reset + ceil(reset / 8))
end
steadyMs = math.min(steadyMs, ceil((amount - (used - 1) * windowMs) / limit))

-- @part pack
local reset = ceil(amount / limit)
leastMs, lifeMs = max(leastMs, reset), max(lifeMs, reset + ceil(reset / 8))

-- @part refund
local unpaid = cost * windowMs - limit * max(0, now - atMs)
if unpaid > 0 then
  local elapsed = max(0, now - timeMs)
  amount = math.min(amount, capacity * windowMs)
  amount = elapsed >= ceil(amount / limit) and 0 or amount - elapsed * limit
  amount, timeMs = max(0, amount - unpaid), now
end
