-- An identity is one hash. Its fields are buckets, called `scope:policy:algorithm:windowMs`, each the msgpack
-- of birth, blockedUntil, strikes, strikesEnd and the numbers of its state; and `block`, until when the whole identity is blocked.
local BLOCK = 'block'

local function bucketOf(bornAt, blockedUntil, strikes, strikesEnd, ...)
  return { birth = bornAt, blockedUntil = blockedUntil, strikes = strikes, strikesEnd = strikesEnd, state = { ... } }
end

local function unpacked(raw)
  if raw then
    local bucket = bucketOf(cmsgpack.unpack(raw))
    -- Fails for what is no number, before anything relies on it.
    math.max(bucket.birth, bucket.blockedUntil, bucket.strikes, bucket.strikesEnd)
    return bucket
  end
  return { birth = birth, blockedUntil = 0, strikes = 0, strikesEnd = 0, state = {} }
end

local function packed(bucket)
  return cmsgpack.pack(bucket.birth, bucket.blockedUntil, bucket.strikes, bucket.strikesEnd, unpack(bucket.state))
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
