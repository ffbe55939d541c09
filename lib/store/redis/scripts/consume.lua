-- Decides requests in order. If every charge of a request that is not a shadow is admitted, its charges are written,
-- otherwise none. A request that cannot be decided, because a key holds something else, fails without the others.
--
-- KEYS     the identities' hashes, each once
-- ARGV[1]  now, see clock
-- ARGV[2]  `consume`; `peek`, which writes nothing; `block`, which writes no charge but starts blocks
-- ARGV[3]  the requests, as numbers of two characters each, in base 64 from `0` on; for each:
--   how many times it occurs; its number of charges; and for each charge the index of its key in KEYS and the index
--   of its kind
-- then for each kind of charge its rule, see RULE; the lengths of its blocks, in six bytes each; and its field
--
-- Returns one string of numbers; if a request has failed, { numbers, error messages ... }. They are little-endian doubles:
-- now; then for each request 1 if it has the next of the errors, otherwise 0, or, if it is denied, minus the milliseconds
-- for which its decisions only age, at most 1000; and unless it has failed, for each charge
--   used, reset, wait (-1: never), blocked (milliseconds left; negative if the block has just started), generation
--   (0 if nothing was charged)
-- They are one string, since clients take several times as long to parse an array.
--
-- The script is one piece without functions, and has as few tables as possible: making them at every call would take
-- longer than to decide. What differs between algorithms stands in algorithms/, part by part.

-- @include clock
-- @include buckets

local mode, asking = ARGV[2], ARGV[3]
local writes, byte = mode ~= 'peek', string.byte
local ZERO = 48 * 64 + 48

-- Kinds of charges. Flags are 1 for a shadow, plus 2 for an exact window.
local FIELD, TEXT, CODE, WINDOW, LIMIT, CAPACITY, COST, FLAGS, BLOCKS = 1, 2, 3, 4, 5, 6, 7, 8, 9
local kinds = {}
for i = 4, #ARGV do
  local rule = ARGV[i]
  kinds[i - 3] = { sub(rule, RULE_SIZE + 1 + 6 * byte(rule, RULE_SIZE)), rule, unpackFrom(RULE, rule) }
end

-- The charges of the current request: SLOTS values for each, from `c` on.
local s, SLOTS = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 17
local OWNER, KIND, GENERATION, AMOUNT, TIME, MARKS_OF, KEPT, WAIT, BLOCKED, CHANGED = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
-- Only of a sliding window: the units that are charged now; the bucket as it was read; from where to where its entries
-- count; their format, their size, and their base.
local ADDED, RAW, FIRST, LAST, FORMAT, SIZE, BASE = 11, 12, 13, 14, 15, 16, 17
-- Fields to read, and fields and values to write.
local names, values = { BLOCK, '' }, { '', '' }

local DECIDED, FAILED = '\0\0\0\0\0\0\0\0', '\0\0\0\0\0\0\240\63'
local reply, size, errors = { pack('<d', now), '', '', '' }, 1, nil
local from = 1
while from <= #asking do
  local b1, b2, b3, b4 = byte(asking, from, from + 3)
  local repetitions, last = b1 * 64 + b2 - ZERO, (b3 * 64 + b4 - ZERO - 1) * SLOTS
  from = from + 4
  for c = 0, last, SLOTS do
    b1, b2, b3, b4 = byte(asking, from, from + 3)
    s[c + OWNER], s[c + KIND], s[c + GENERATION] = b1 * 64 + b2 - ZERO, kinds[b3 * 64 + b4 - ZERO], false
    from = from + 4
  end

  -- Reads each identity of the request in one call.
  local failure
  for first = 0, last, SLOTS do
    if not s[first + GENERATION] then
      local owner, count = s[first + OWNER], 1
      for c = first, last, SLOTS do
        if s[c + OWNER] == owner then
          count = count + 1
          names[count] = s[c + KIND][FIELD]
        end
      end
      local found = redis.pcall('HMGET', KEYS[owner], unpack(names, 1, count))
      local block, blockedUntil = found[1], 0
      if found.err then
        failure = found.err
        break
      elseif block then
        if #block ~= IDENTITY_BLOCK_SIZE then
          failure = 'The field block of ' .. KEYS[owner] .. ' is not of this version.'
          break
        end
        local durationMs
        blockedUntil, durationMs = unpackFrom(IDENTITY_BLOCK, block)
        if blockedUntil > now + durationMs then
          blockedUntil = now + durationMs
          if writes then call('HSET', KEYS[owner], BLOCK, pack(IDENTITY_BLOCK, blockedUntil, durationMs)) end
        end
      end
      count = 1
      for c = first, last, SLOTS do
        if s[c + OWNER] == owner then
          count = count + 1
          local raw, kind, isMoved = found[count], s[c + KIND], false
          local amount, timeMs, added, generation, marks, kept = 0, now, 0, 0, false, false
          local length = raw and #raw or 0
          local isBucket = not raw or (length >= HEAD_SIZE and byte(raw) == VERSION)
          if raw and isBucket then
            local flag, at, _ = byte(raw, 2), HEAD_SIZE + 1, nil
            if flag % 2 == 0 and length >= HEAD_SIZE + STATE_SIZE then
              _, _, generation, amount, timeMs, at = unpackFrom(HEAD_AND_STATE, raw)
            elseif flag % 2 == 1 and length >= HEAD_SIZE + MARKS_SIZE then
              _, _, generation = unpackFrom(HEAD, raw)
              local untilMs, durationMs, offenses, offensesEnd
              untilMs, durationMs, offenses, offensesEnd, at = unpackFrom(MARKS, raw, at)
              local ahead = untilMs - durationMs - now
              if ahead > 0 then untilMs, offensesEnd, isMoved = untilMs - ahead, max(0, offensesEnd - ahead), true end
              marks = { untilMs, durationMs, offenses, offensesEnd }
              if length >= at - 1 + STATE_SIZE then amount, timeMs, at = unpackFrom(STATE, raw, at) end
            end
            if amount > 0 then
              local code, windowMs, limit, capacity = kind[CODE], kind[WINDOW], kind[LIMIT], kind[CAPACITY]
              -- @algorithms settle
            else
              isBucket = at > length
            end
          end
          if not isBucket then
            failure = 'The field ' .. names[count] .. ' of ' .. KEYS[owner] .. ' is not a bucket of this version.'
            break
          end
          s[c + GENERATION], s[c + AMOUNT], s[c + TIME], s[c + ADDED] = generation, amount, timeMs, added
          s[c + MARKS_OF], s[c + KEPT] = marks, kept
          s[c + BLOCKED] = (marks and marks[1] > blockedUntil and marks[1] or blockedUntil) - now
          -- Even a denial writes what has moved: otherwise the wait would start again each time.
          s[c + CHANGED] = isMoved and writes
        end
      end
      if failure then break end
    end
  end

  for _ = 1, failure and 0 or repetitions do
    local admitted = true
    for c = 0, last, SLOTS do
      local kind, amount, wait = s[c + KIND], s[c + AMOUNT], 0
      local code, windowMs, limit, capacity, cost = kind[CODE], kind[WINDOW], kind[LIMIT], kind[CAPACITY], kind[COST]
      if limit == 0 or cost > capacity then
        wait = NEVER
      elseif cost > 0 then
        -- @algorithms wait
      end
      if limit > 0 and s[c + BLOCKED] > wait then wait = s[c + BLOCKED] end
      s[c + WAIT] = wait
      if wait > 0 and kind[FLAGS] % 2 == 0 then admitted = false end
    end

    size = size + 1
    local status, steadyMs = size, 1000
    for c = 0, last, SLOTS do
      local kind, wait, receipt, sign = s[c + KIND], s[c + WAIT], 0, 1
      local code, windowMs, limit, cost, marks = kind[CODE], kind[WINDOW], kind[LIMIT], kind[COST], s[c + MARKS_OF]
      if wait == 0 then
        if admitted and cost > 0 and mode == 'consume' then
          if s[c + AMOUNT] == 0 then
            if not marks or (marks[1] <= now and marks[4] <= now) then
              s[c + GENERATION], s[c + MARKS_OF] = newGeneration, false
            end
            s[c + TIME], s[c + RAW], s[c + ADDED] = now, false, 0
          end
          -- @algorithms charge
          s[c + CHANGED], receipt = true, s[c + GENERATION]
        end
      elseif kind[BLOCKS] > 0 and writes and s[c + BLOCKED] <= 0 and wait ~= NEVER and kind[FLAGS] % 2 == 0 then
        -- Each block is longer than the one before, until no block was running for as long as the longest.
        local count = kind[BLOCKS]
        local lengths = { unpackFrom('<' .. string.rep('I6', count), kind[TEXT], RULE_SIZE + 1) }
        local offenses = math.min(marks and marks[4] > now and marks[3] or 0, 65534)
        local lengthMs = lengths[math.min(offenses + 1, count)]
        marks = { now + lengthMs, lengthMs, 0, 0 }
        if count > 1 then marks[3], marks[4] = offenses + 1, now + lengthMs + lengths[count] end
        s[c + MARKS_OF], s[c + BLOCKED], s[c + CHANGED] = marks, lengthMs, true
        wait, sign = max(wait, lengthMs), -1
      end
      local amount, used, reset = s[c + AMOUNT], 0, 0
      if s[c + BLOCKED] > 0 then steadyMs = math.min(steadyMs, s[c + BLOCKED]) end
      if limit > 0 and amount > 0 then
        -- @algorithms usage
        if not admitted then
          -- @algorithms change
        end
      end
      size = size + 1
      reply[size] = pack(
        '<ddddd',
        used,
        reset,
        wait == NEVER and -1 or wait,
        wait == 0 and 0 or sign * max(0, s[c + BLOCKED]),
        receipt
      )
    end
    reply[status] = admitted and DECIDED or pack('<d', -steadyMs)
  end
  if failure then
    errors = errors or {}
    for _ = 1, repetitions do
      size = size + 1
      reply[size], errors[#errors + 1] = FAILED, failure
    end
  end

  -- Writes each identity in one call. A server that refuses writes (out of memory, a replica) refuses the first one of
  -- a script, so nothing is written partially.
  for first = 0, failure and -1 or last, SLOTS do
    if s[first + CHANGED] then
      local owner, count, leastMs, lifeMs = s[first + OWNER], 0, 0, 0
      for c = first, last, SLOTS do
        if s[c + OWNER] == owner and s[c + CHANGED] then
          s[c + CHANGED] = false
          local kind, marks, amount, timeMs = s[c + KIND], s[c + MARKS_OF], s[c + AMOUNT], s[c + TIME]
          local code, windowMs, limit, endsAt, flag = kind[CODE], kind[WINDOW], kind[LIMIT], nil, 0
          local entries, entry = '', ''
          if amount > 0 then
            -- @algorithms pack
          end
          if endsAt then
            -- Kept until the next eighth of the window begins, so that not every charge has to set the expiry.
            local eighth = ceil(windowMs / 8)
            local eighths, kept = floor(endsAt / eighth) + 1, s[c + KEPT]
            if marks or not kept or floor(kept / eighth) + 1 ~= eighths then
              leastMs = max(leastMs, eighths * eighth - now)
            end
          end
          local head
          if not marks then
            head = pack(HEAD_AND_STATE, VERSION, flag, s[c + GENERATION], amount, timeMs)
          else
            head = pack(HEAD, VERSION, flag + 1, s[c + GENERATION]) .. pack(MARKS, marks[1], marks[2], marks[3], marks[4])
            if amount > 0 then head = head .. pack(STATE, amount, timeMs) end
            leastMs = max(leastMs, marks[1] - now, marks[4] - now)
          end
          values[count + 1], values[count + 2], count = kind[FIELD], head .. entries .. entry, count + 2
        end
      end
      call('HSET', KEYS[owner], unpack(values, 1, count))
      -- @include keep
    end
  end
end

local numbers = table.concat(reply, '', 1, size)
if errors then return { numbers, unpack(errors) } end
return numbers
