-- An identity is one hash. Its fields are buckets, called `scope:policy:letter:windowMs`, and `block`, until when
-- the whole identity is blocked. A bucket is its birth in seven bytes, the lowest first, and the msgpack of: 0, or
-- else 1, blockedUntil, strikes and strikesEnd; and what its algorithm keeps of its state. Small numbers are short
-- there, so that times are kept as differences, the first from the millisecond of the birth.
local BLOCK = 'block'
local pack, unpackAll = cmsgpack.pack, cmsgpack.unpack
local packBirth, unpackBirth, sub = struct.pack, struct.unpack, string.sub

-- `charge` is the one that it is written for at the end; a table that grows would be made twice.
local function bucketOf(bornAt, blockedUntil, strikes, strikesEnd, kept)
  return {
    birth = bornAt,
    blockedUntil = blockedUntil,
    strikes = strikes,
    strikesEnd = strikesEnd,
    kept = kept,
    state = false,
    charge = false,
  }
end

local function bucketWith(bornAt, isMarked, ...)
  -- Fails for what is no number, before anything relies on it.
  if isMarked + 0 == 0 then return bucketOf(bornAt, 0, 0, 0, { ... }) end
  local blockedUntil, strikes, strikesEnd = ...
  return bucketOf(bornAt, blockedUntil + 0, strikes + 0, strikesEnd + 0, { select(4, ...) })
end

-- A bucket whose state has not been looked at.
local function sealed(raw)
  return bucketWith(unpackBirth('<I7', raw), unpackAll(sub(raw, 8)))
end

local function unpacked(raw, rule)
  if not raw then
    local bucket = bucketOf(birth, 0, 0, 0, false)
    bucket.state = {}
    return bucket
  end
  local bucket = sealed(raw)
  local kept = bucket.kept
  bucket.state = #kept == 0 and kept or rule.algorithm.opened(kept, rule, math.floor(bucket.birth / 1000))
  return bucket
end

local function packed(bucket)
  local bornAt = packBirth('<I7', bucket.birth)
  if bucket.blockedUntil == 0 and bucket.strikesEnd == 0 then return bornAt .. pack(0, unpack(bucket.kept)) end
  return bornAt .. pack(1, bucket.blockedUntil, bucket.strikes, bucket.strikesEnd, unpack(bucket.kept))
end

local function packedWith(bucket, rule)
  local state = bucket.state
  bucket.kept = #state == 0 and state or rule.algorithm.kept(state, rule, math.floor(bucket.birth / 1000))
  return packed(bucket)
end

local function isEmpty(bucket)
  return #(bucket.state or bucket.kept) == 0 and bucket.blockedUntil <= now and bucket.strikesEnd <= now
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
