-- Reads a record by a key that is unused, and is in use from now on, or that is
-- the previous one, of which the clock of Redis says what it may.
-- KEYS 1 record
-- ARGV 1 verifiers, see is
-- reply what the key may do, see opens, and the record; '' if it is gone or cannot be read
local value = read(KEYS[1])
if not value then return {'GONE', ''} end
local state, revision, verifier, previous, till, subject, seal = parse(value)
value = redis.call('GET', KEYS[1])
if not state then return {'ALL', value} end
local t = now()
local may = opens(ARGV[1], state, verifier, previous, till, t)
if is(ARGV[1], verifier) and state ~= 'u' then
  state, till = used(state, till, t)
  local ticket = string.sub(value, string.find(value, '\n', 1, true) + 1)
  value = envelope(state, revision, verifier, previous, till, subject, seal) .. ticket
  redis.call('SET', KEYS[1], value, 'KEEPTTL')
end
return {may, value}
