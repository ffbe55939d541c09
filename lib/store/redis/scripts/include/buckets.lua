-- An identity is one hash. Its fields are buckets, called `scope:policy:algorithm:windowMs`, each the msgpack
-- of birth, blockedUntil, strikes, strikesEnd and the numbers of its state; and `block`, until when the whole identity is blocked.
local BLOCK = 'block'

local pack, unpackAll, most = cmsgpack.pack, cmsgpack.unpack, math.max

-- `charge` is the one that it is written for at the end; a table that grows would be made twice.
local function bucketOf(bornAt, blockedUntil, strikes, strikesEnd, ...)
  -- Fails for what is no number, before anything relies on it.
  most(bornAt, blockedUntil, strikes, strikesEnd)
  return {
    birth = bornAt,
    blockedUntil = blockedUntil,
    strikes = strikes,
    strikesEnd = strikesEnd,
    state = { ... },
    charge = false,
  }
end

local function unpacked(raw)
  if raw then return bucketOf(unpackAll(raw)) end
  return bucketOf(birth, 0, 0, 0)
end

local function packed(bucket)
  return pack(bucket.birth, bucket.blockedUntil, bucket.strikes, bucket.strikesEnd, unpack(bucket.state))
end

local function isEmpty(bucket)
  return #bucket.state == 0 and bucket.blockedUntil <= now and bucket.strikesEnd <= now
end

-- Blocks a bucket, for longer each time until no block has been for as long as the longest, and returns for
-- how long.
local function strike(bucket, lengths)
  local before = bucket.strikesEnd > now and bucket.strikes or 0
  local length = lengths[math.min(before + 1, #lengths)]
  bucket.blockedUntil = now + length
  if #lengths > 1 then
    bucket.strikes, bucket.strikesEnd = before + 1, now + length + lengths[#lengths]
  end
  return length
end

-- Lets a key live for another `ms` at least, and an eighth longer, so that not every charge has to say so;
-- under a clock that a test turns, which expiry knows nothing of, for a minute.
local function keepFor(key, ms)
  if ARGV[1] ~= '' then ms = math.max(ms, 60000) end
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, whole(ms + math.ceil(ms / 8))) end
end
