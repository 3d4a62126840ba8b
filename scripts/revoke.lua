-- Ends sessions of a subject by their IDs.
-- KEYS 1 index of the subject, 2 sessions, 3 subjects, 4 record of a session that
--      must be live (KEYS[1] if none), 5.. records of ARGV[3..]
-- ARGV 1 subject, 2 ID of the one that must be live ('' if none), 3.. IDs
-- reply how many sessions ended; -1 if that one is not live, and nothing has changed
local t, n = now(), 0
if ARGV[2] ~= '' and not owned(KEYS[4], KEYS[1], ARGV[2], ARGV[1], t) then return -1 end
for i = 3, #ARGV do
  local record = KEYS[i + 2]
  if redis.call('EXISTS', record) == 0 or owned(record, KEYS[1], ARGV[i], ARGV[1], t) then
    n = n + drop(record, KEYS[1], KEYS[2], ARGV[i])
  end
end
settle(KEYS[1], KEYS[2], KEYS[3], ARGV[1], t)
return n
