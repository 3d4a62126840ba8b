-- Ends the session that a key opens.
-- KEYS 1 record, 2 index of the subject, 3 census
-- ARGV 1 session ID, see named, 2 subject, 3 verifier of a key that opens the record, or did: a
--      key in its grace is the caller's to judge, by the clock that Retrieve goes by
-- reply how many sessions ended
local value = read(KEYS[1])
if value then
  local revision, verifier, previous = parse(value)
  if revision and verifier ~= ARGV[3] and previous ~= ARGV[3] then return 0 end
end
local n = redis.call('DEL', KEYS[1])
settle(KEYS[2], KEYS[3], ARGV[2], now(), {named(ARGV[1])}, true)
return n
