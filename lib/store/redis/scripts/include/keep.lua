-- Has the key of `owner` live for another `leastMs` at least, otherwise for `lifeMs`; for a minute under the clock of a
-- test, which expiry knows nothing of.
if ARGV[1] ~= '' then leastMs = max(leastMs, 60000) end
lifeMs = max(lifeMs, leastMs)
if leastMs > 0 and call('PTTL', KEYS[owner]) < leastMs then call('PEXPIRE', KEYS[owner], lifeMs) end
