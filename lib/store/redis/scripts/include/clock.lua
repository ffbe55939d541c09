-- Time is read once a script. `now` is in whole epoch milliseconds: ARGV[1], or the server's clock where
-- that is empty, as it is but for tests. `birth` tells a new bucket from an earlier one of its name: by 32 microseconds,
-- in which no server has run three scripts, so that it fits into six bytes.
local time = redis.call('TIME')
local microseconds = tonumber(time[1]) * 1000000 + tonumber(time[2])
local birth = math.floor(microseconds / 32)
local now = tonumber(ARGV[1]) or math.floor(microseconds / 1000)

local function whole(number)
  return string.format('%.0f', number)
end
