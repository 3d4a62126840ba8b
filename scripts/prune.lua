-- Takes sessions whose records are gone out of the index: deleted by hand, say.
-- KEYS 1 index of the subject, 2 sessions, 3 subjects, 4.. records of ARGV[2..]
-- ARGV 1 subject, 2.. session IDs
-- reply how many were taken out
local n = 0
for i = 2, #ARGV do
  if redis.call('EXISTS', KEYS[i + 2]) == 0 then
    drop(KEYS[i + 2], KEYS[1], KEYS[2], ARGV[i])
    n = n + 1
  end
end
settle(KEYS[1], KEYS[2], KEYS[3], ARGV[1], now())
return n
