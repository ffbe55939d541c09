-- Adds counts of a process to those of an hour by all processes. A batch that was added before changes nothing.
--
-- KEYS[1]  counts: a hash of numbers by field: `w`, the last batch of a writer; of routes (`r`) and limits (`l`) the
--          allowed (`a`), denied (`d`), shadow-denied (`s`) and degraded (`g`) requests, as in `ra:GET /`
-- KEYS[2]  clients: a HyperLogLog of addresses
-- KEYS[3]  denied: clients by their denials
-- KEYS[4]  users: by their requests
-- KEYS[5]  denials: a hash of the denials of these users
-- ARGV[1]  the writer
-- ARGV[2]  the number of the batch, which grows
-- ARGV[3]  milliseconds that the hour is kept
-- ARGV[4]  length at which the lists are kept
-- then     the number of new clients, and their addresses;
--          the number of routes, and for each its name and `allowed denied shadowDenied degraded`; the same for limits;
--          the number of denied clients, and for each its identity and denials;
--          the number of users, and for each its identity, requests and denials
--
-- Returns 1, or 0 if the batch was added before.

local counts, clients, denied, users, denials = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local writer, call, at = 'w:' .. ARGV[1], redis.call, 5
local function take()
  at = at + 1
  return ARGV[at - 1]
end

-- Before the number of the batch, since adding clients again changes nothing: where PFADD is refused, by an ACL of an
-- earlier version, the batch can be sent again. As many at a time as Lua can unpack.
local first = at + 1
at = first + tonumber(ARGV[at])
for from = first, at - 1, 1000 do call('PFADD', clients, unpack(ARGV, from, math.min(from + 999, at - 1))) end
call('PEXPIRE', clients, ARGV[3])

if tonumber(call('HGET', counts, writer) or 0) >= tonumber(ARGV[2]) then return 0 end
-- Before the counts: a server that refuses writes refuses this one, and the batch can be sent again.
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
return 1
