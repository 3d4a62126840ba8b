-- Ends the session that a key opens.
-- KEYS 1 record, 2 index of the subject, 3 sessions, 4 subjects
-- ARGV 1 session ID, 2 subject, 3 verifier
-- reply how many sessions ended
local t = now()
local value = read(KEYS[1])
if value then
  local revision, verifier, previous, till = parse(value)
  if revision and verifier ~= ARGV[3] and not (previous == ARGV[3] and tonumber(till) > t) then
    return 0
  end
end
local n = drop(KEYS[1], KEYS[2], KEYS[3], ARGV[1])
settle(KEYS[2], KEYS[3], KEYS[4], ARGV[2], t)
return n
