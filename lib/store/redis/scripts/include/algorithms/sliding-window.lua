-- State: { grain, stamp, count, stamp, count, ... }, oldest first. EXACT stamps are times of charges, at most 32 of
-- them. COARSE stamps are ends of sub-windows, each a 32nd of the window, rounded up.
makers['sliding-window'] = function()
  local EXACT, COARSE = 0, 1
  -- In a closed state: exact stamps, each of one charge.
  local ONES = 2
  local FULL_OF_STAMPS = 1 + 2 * 32

  local function subWindowEnd(windowMs, ms)
    local length = math.ceil(windowMs / 32)
    return (math.floor(ms / length) + 1) * length - 1
  end

  local function stampOf(state, rule, ms)
    if state[1] == COARSE then return subWindowEnd(rule.windowMs, ms) end
    return ms
  end

  local function append(state, stamp, count)
    local last = #state - 1
    if last >= 2 and state[last] == stamp then
      state[last + 1] = state[last + 1] + count
    else
      state[last + 2] = stamp
      state[last + 3] = count
    end
  end

  local function slice(state, from, to)
    local kept = { state[1] }
    for at = from, to do kept[#kept + 1] = state[at] end
    return kept
  end

  -- Moves charges that lie ahead of now, left by a clock that was set back, to the stamp of now.
  local function clamped(state, rule)
    local last, ahead = #state - 1, 0
    if state[last] <= now then return state end
    local latest = stampOf(state, rule, now)
    while last >= 2 and state[last] > latest do
      ahead = ahead + state[last + 1]
      last = last - 2
    end
    if ahead == 0 then return state end
    local kept = slice(state, 2, last + 1)
    append(kept, latest, ahead)
    return kept, true
  end

  local function usedBy(state)
    local sum = 0
    for at = 3, #state, 2 do sum = sum + state[at] end
    return sum
  end

  local algorithm
  algorithm = {
    lasts = true,

    settle = function(state, rule)
      if #state == 0 then return state end
      local first = 2
      while first <= #state and state[first] + rule.windowMs <= now do first = first + 2 end
      if first > #state then return {} end
      if first > 2 then state = slice(state, first, #state) end
      return clamped(state, rule)
    end,

    wait = function(state, rule, cost)
      if cost > rule.limit then return NEVER end
      local over = usedBy(state) + cost - rule.limit
      if over <= 0 then return 0 end
      local at = 2
      while over > 0 do
        over = over - state[at + 1]
        at = at + 2
      end
      return state[at - 2] + rule.windowMs - now
    end,

    charge = function(state, rule, cost)
      if #state == 0 then return { EXACT, now, cost } end
      if state[1] == EXACT and #state == FULL_OF_STAMPS and state[#state - 1] ~= now then
        local coarse = { COARSE }
        for at = 2, #state, 2 do append(coarse, subWindowEnd(rule.windowMs, state[at]), state[at + 1]) end
        state = coarse
      end
      append(state, stampOf(state, rule, now), cost)
      return state
    end,

    refund = function(state, rule, charged)
      state = algorithm.settle(state, rule)
      if #state == 0 then return state end
      local stamp = stampOf(state, rule, charged.at)
      for at = 2, #state, 2 do
        if state[at] == stamp then
          state[at + 1] = state[at + 1] - charged.cost
          if state[at + 1] <= 0 then
            table.remove(state, at)
            table.remove(state, at)
          end
          break
        end
      end
      if #state == 1 then return {} end
      return state
    end,

    used = usedBy,

    reset = function(state, rule)
      if #state == 0 then return 0 end
      return state[#state - 1] + rule.windowMs - now
    end,

    -- Writes only stamps when each stands for one charge, and numbers of sub-windows for coarse ones.
    close = function(state, rule, base)
      if state[1] == COARSE then
        local length = math.ceil(rule.windowMs / 32)
        local kept, last = { COARSE }, math.floor(base / length)
        for at = 2, #state, 2 do
          local index = (state[at] + 1) / length
          kept[at], kept[at + 1], last = index - last, state[at + 1], index
        end
        return kept
      end
      local kept, last = { ONES }, base
      for at = 2, #state, 2 do
        if state[at + 1] ~= 1 then
          kept, last = { EXACT }, base
          for pair = 2, #state, 2 do
            kept[pair], kept[pair + 1], last = state[pair] - last, state[pair + 1], state[pair]
          end
          return kept
        end
        kept[at / 2 + 1], last = state[at] - last, state[at]
      end
      return kept
    end,

    open = function(kept, rule, base)
      local state, last = { kept[1] }, base
      if kept[1] == ONES then
        state[1] = EXACT
        for at = 2, #kept do
          last = last + kept[at]
          state[2 * at - 2], state[2 * at - 1] = last, 1
        end
        return state
      end
      local length = 1
      if kept[1] == COARSE then
        length = math.ceil(rule.windowMs / 32)
        last = math.floor(base / length)
      end
      for at = 2, #kept, 2 do
        last = last + kept[at]
        state[at], state[at + 1] = kept[1] == COARSE and last * length - 1 or last, kept[at + 1]
      end
      return state
    end,
  }
  return algorithm
end
