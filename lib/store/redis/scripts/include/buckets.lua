-- An identity is one hash. Its fields are buckets, called `scope:policy:code:windowMs`, and `block`, which is the end
-- and the length of a block of the whole identity. All numbers are whole, and stored with the lowest byte first.
--
-- A bucket is HEAD: version, flags, generation; then, if the lowest flag is set, MARKS: end and length of its block,
-- number of offenses, and when that is forgotten; then, unless nothing counts, STATE: an amount and a time.
--   token bucket    debt, and its time
--   fixed window    count, and the start of the window
--   sliding window  total, and a base; then its entries, oldest first: stamp and count. A stamp counts from the base in
--                   four bytes; in a LONG window the base is 0, and a stamp has six bytes. The flags divided by two are
--                   the bytes of a count.
local BLOCK, IDENTITY_BLOCK, IDENTITY_BLOCK_SIZE = 'block', '<I6I6', 12
local VERSION, HEAD, HEAD_SIZE, MARKS, MARKS_SIZE, STATE, STATE_SIZE = 2, '<BBI6', 8, '<I6I6I2I6', 20, '<I7I6', 13
local HEAD_AND_STATE = '<BBI6I7I6'
local LONG = 2 ^ 31
-- Code of the algorithm, windowMs, limit, capacity, cost, flags, number of blocks.
local RULE, RULE_SIZE = '<BI6I7I7I7BB', 30
-- See lib/core/algorithms/sliding-window.ts.
local MAX_ENTRIES, MERGED_ENTRIES = 96, 80
local NEVER = math.huge
local call, unpackFrom, pack, sub = redis.call, struct.unpack, struct.pack, string.sub
local floor, ceil, max = math.floor, math.ceil, math.max
