-- Ends the session of a key, also one that has been written again since it ended.
-- KEYS 1 record, 2 index of the subject, 3 sessions, 4 subjects
-- ARGV 1 session key, 2 subject in whose index it is ('' if none)
-- reply how many sessions ended
local t = now()
local n = drop(KEYS[1], KEYS[2], KEYS[3], ARGV[1], t)
settle(KEYS[2], KEYS[3], KEYS[4], ARGV[2], t)
return n
