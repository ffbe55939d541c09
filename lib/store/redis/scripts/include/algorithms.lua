-- The algorithms of lib/core/algorithms, function by function: the same states, arithmetic and results. Each is a file
-- of algorithms/.
--
-- A state is a list of integers, empty when nothing counts; a wait of NEVER does not end. All functions except `settle`
-- and `refund` expect a settled state. `settle` also returns whether it has moved times that lay ahead of now, left by
-- a clock that was set back. `close` replaces the times of a state by differences from `base`, which are shorter, and
-- `open` reverses that. `lasts` is true when a state ends at the same time under any limit.
local NEVER = math.huge
-- Each is created when a rule first needs it: a script seldom needs all of them.
local makers = {}

-- @include algorithms/*

local algorithms = {}

-- Matches a rule such as `fixed-window 60000 100 100`: algorithm, window, limit, capacity.
local RULE = '^(%S+) (%d+) (%d+) (%d+)'
local function ruleOf(name, windowMs, limit, capacity)
  algorithms[name] = algorithms[name] or makers[name]()
  return {
    algorithm = algorithms[name],
    windowMs = tonumber(windowMs),
    limit = tonumber(limit),
    capacity = tonumber(capacity),
  }
end
