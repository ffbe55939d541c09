-- State: { start, count }.
makers['fixed-window'] = function()
  local algorithm
  algorithm = {
    lasts = true,

    settle = function(state, rule)
      if #state == 0 then return state end
      if state[1] + rule.windowMs <= now then return {} end
      if state[1] <= now then return state end
      state[1] = now
      return state, true
    end,

    wait = function(state, rule, cost)
      if cost > rule.limit then return NEVER end
      if #state == 0 or state[2] + cost <= rule.limit then return 0 end
      return state[1] + rule.windowMs - now
    end,

    charge = function(state, _, cost)
      if #state == 0 then return { now, cost } end
      state[2] = state[2] + cost
      return state
    end,

    refund = function(state, rule, charged)
      state = algorithm.settle(state, rule)
      if #state == 0 or state[1] ~= charged.at + charged.resetAfter - rule.windowMs then return state end
      state[2] = state[2] - charged.cost
      if state[2] <= 0 then return {} end
      return state
    end,

    used = function(state) return state[2] or 0 end,

    reset = function(state, rule)
      if #state == 0 then return 0 end
      return state[1] + rule.windowMs - now
    end,

    close = function(state, _, base)
      state[1] = state[1] - base
      return state
    end,

    open = function(state, _, base)
      state[1] = state[1] + base
      return state
    end,
  }
  return algorithm
end
