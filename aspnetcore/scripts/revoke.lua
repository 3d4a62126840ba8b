-- Ends sessions of a subject.
-- KEYS 1 index of the subject, 2 sessions, 3 subjects, 4 record of a session that
--      must be live (KEYS[1] if none), 5.. records of ARGV[3..]
-- ARGV 1 subject, 2 key of the one that must be live ('' if none), 3.. session keys
-- reply how many sessions ended; -1 if that one is not live, and nothing has changed
local t, n = now(), 0
if ARGV[2] ~= '' and not owned(KEYS[4], ARGV[1]) then return -1 end
for i = 3, #ARGV do
  if owned(KEYS[i + 2], ARGV[1]) then n = n + drop(KEYS[i + 2], KEYS[1], KEYS[2], ARGV[i], t) end
end
settle(KEYS[1], KEYS[2], KEYS[3], ARGV[1], t)
return n
