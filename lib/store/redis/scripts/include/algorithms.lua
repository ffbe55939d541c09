-- The algorithms of lib/core/algorithms, function by function: the same states, arithmetic and answers.
-- A state is a list of whole numbers, empty when nothing counts; a wait of NEVER does not end. All but `settle` and
-- `refund` expect a state that is settled. `settle` says
-- besides whether it has moved what lay ahead of now, because a clock stepped back. `close` puts differences from
-- `base` on in place of a state's times, and `open` times again in place of these. Where `lasts` is true, the limit
-- has no say in when a state ends.
local NEVER = math.huge
-- Each is made when a rule first asks for it: a script seldom needs them all.
local makers = {}

-- @include fixed-window
-- @include sliding-window
-- @include token-bucket

local algorithms = {}

-- The rule of what stands in a text such as `fixed-window 60000 100 100`: algorithm, window, limit, capacity.
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
