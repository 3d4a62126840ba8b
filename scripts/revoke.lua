-- Ends sessions of a subject by their IDs.
-- KEYS 1 index of the subject, 2 census, 3 record of a session that must be live
--      (KEYS[1] if none), 4.. records of ARGV[3..]
-- ARGV 1 subject, 2 ID of the one that must be live ('' if none), 3.. IDs, see named
-- reply how many sessions ended; -1 if that one is not live, and nothing has changed
local index, subject, keep = KEYS[1], ARGV[1], ARGV[2]
local t, n, gone = now(), 0, {}
if keep ~= '' and not owns(subject, read(KEYS[3]), index, KEYS[2], keep, t) then return -1 end
for i = 3, #ARGV - ARGS_OF_ENDINGS do
  local id, value = named(ARGV[i]), read(KEYS[i + 1])
  if not value or owns(subject, value, index, KEYS[2], id, t) then
    gone[#gone + 1] = id
    n = n + kill(id, KEYS[i + 1])
  end
end
settle(index, KEYS[2], subject, t, gone, true)
return n
