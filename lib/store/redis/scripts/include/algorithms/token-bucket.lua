-- State: { at, debt }, the debt in units times the window. The limit is paid back per millisecond.
makers['token-bucket'] = function()
  local function debtOf(state, rule)
    if #state == 0 then return 0 end
    local elapsed = now - state[1]
    if elapsed >= math.ceil(state[2] / rule.limit) then return 0 end
    return state[2] - elapsed * rule.limit
  end

  local algorithm
  algorithm = {
    settle = function(state, rule)
      if #state == 0 then return state end
      local ahead = state[1] > now
      if ahead then state[1] = now end
      if debtOf(state, rule) == 0 then return {} end
      return state, ahead
    end,

    wait = function(state, rule, cost)
      if cost > rule.capacity then return NEVER end
      local over = debtOf(state, rule) + (cost - rule.capacity) * rule.windowMs
      if over <= 0 then return 0 end
      return math.ceil(over / rule.limit)
    end,

    charge = function(state, rule, cost)
      return { now, debtOf(state, rule) + cost * rule.windowMs }
    end,

    refund = function(state, rule, charged)
      local unpaid = charged.cost * rule.windowMs - rule.limit * math.max(0, now - charged.at)
      if unpaid <= 0 then return state end
      state = algorithm.settle(state, rule)
      if #state == 0 then return state end
      local debt = debtOf(state, rule) - unpaid
      if debt > 0 then return { now, debt } end
      return {}
    end,

    used = function(state, rule) return math.ceil(debtOf(state, rule) / rule.windowMs) end,

    reset = function(state, rule) return math.ceil(debtOf(state, rule) / rule.limit) end,

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
