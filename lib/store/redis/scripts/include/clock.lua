-- Time is read once a script. `now` is in whole epoch milliseconds: ARGV[1], or the server's clock where that is empty,
-- as it is except in tests. `newGeneration` tells a new bucket from an earlier one of its name: it counts 32
-- microseconds, in which no server has run three scripts, so that it fits into six bytes.
local time = redis.call('TIME')
local microseconds = time[1] * 1000000 + time[2]
local newGeneration = math.floor(microseconds / 32)
local now = tonumber(ARGV[1]) or math.floor(microseconds / 1000)
