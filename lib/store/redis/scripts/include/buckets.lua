-- An identity is one hash. Its fields are buckets, called `scope:policy:algorithm:windowMs`, each the msgpack
-- of birth, blockedUntil and the numbers of its state; and `block`, until when the whole identity is blocked.
local BLOCK = 'block'

local function bucketOf(bornAt, blockedUntil, ...)
  return { birth = bornAt, blockedUntil = blockedUntil, state = { ... } }
end

local function unpacked(raw)
  if raw then return bucketOf(cmsgpack.unpack(raw)) end
  return { birth = birth, blockedUntil = 0, state = {} }
end

local function packed(bucket)
  return cmsgpack.pack(bucket.birth, bucket.blockedUntil, unpack(bucket.state))
end

local function isEmpty(bucket)
  return #bucket.state == 0 and bucket.blockedUntil <= now
end

-- Lets a key live for another `ms` at least, and an eighth longer, so that not every charge has to say so;
-- under a clock that a test turns, which expiry knows nothing of, for a minute.
local function keepFor(key, ms)
  if ARGV[1] ~= '' then ms = math.max(ms, 60000) end
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, whole(ms + math.ceil(ms / 8))) end
end
