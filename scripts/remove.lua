-- Ends the session that a key opens.
-- KEYS 1 record, 2 index of the subject, 3 census
-- ARGV 1 session ID, see named, 2 subject, 3 verifiers, see is, of the key or the previous one
-- reply how many sessions ended; -1 if the key is another, and nothing has changed
local value = read(KEYS[1])
if value then
  local state, _, verifier, previous = parse(value)
  if state and not is(ARGV[3], verifier) and not is(ARGV[3], previous) then return -1 end
end
local id = named(ARGV[1])
local n = kill(id, KEYS[1])
settle(KEYS[2], KEYS[3], ARGV[2], now(), {id}, true)
return n
