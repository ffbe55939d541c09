-- The algorithms of lib/core/algorithms, function by function: the same states, arithmetic and answers.
-- A state is a list of whole numbers, empty when nothing counts; a wait of NEVER does not end. `settle` says
-- besides whether it has moved what lay ahead of now, because a clock stepped back. `kept` is a state with times as
-- differences from `base` on, and `opened` the state of that again.
local NEVER = math.huge
local algorithms = {}

-- @include fixed-window
-- @include sliding-window
-- @include token-bucket

-- The rule that a text such as `fixed-window 60000 100 100` stands for: algorithm, window, limit, capacity.
local function ruleOf(text)
  local algorithm, windowMs, limit, capacity = string.match(text, '^(%S+) (%d+) (%d+) (%d+)')
  return {
    algorithm = algorithms[algorithm],
    windowMs = tonumber(windowMs),
    limit = tonumber(limit),
    capacity = tonumber(capacity),
  }
end
