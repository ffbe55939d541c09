-- Adds what a process has counted in an hour to what all have; a batch that was added before changes nothing.
--
-- KEYS[1]  counts: a hash of numbers by field: `w`, the last batch of a writer; of routes (`r`) and limits (`l`) what was
--          allowed (`a`), denied (`d`), shadow-denied (`s`) and degraded (`g`), as in `ra:GET /`
-- KEYS[2]  clients: registers, a byte each
-- KEYS[3]  denied: clients by how often they were denied
-- KEYS[4]  users: by how often they asked
-- KEYS[5]  denials: a hash of how often these users were denied
-- ARGV[1]  the writer
-- ARGV[2]  the batch's number, which grows
-- ARGV[3]  for how many milliseconds the hour is kept
-- ARGV[4]  how many entries the lists are kept at
-- ARGV[5]  registers that have risen: three characters each, the upper and lower 6 bits of its index and its rank, each 48 more
-- then     how many routes; for each its name and `allowed denied shadowDenied degraded`; limits likewise;
--          how many clients; for each its identity and denials; how many users; for each its identity, requests, denials
--
-- Returns 1, or 0 where the batch was added before.

local counts, clients, denied, users, denials = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local writer, call = 'w:' .. ARGV[1], redis.call

if tonumber(call('HGET', counts, writer) or 0) >= tonumber(ARGV[2]) then return 0 end
-- The first write of all: a server that refuses writes refuses this one, and the batch can be sent again.
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

-- As many at a time as Lua can unpack.
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
return 1
