-- Takes sessions out of the index of a subject that are not its any more: ended
-- by ASP.NET Core, say, or deleted by hand.
-- KEYS 1 index of the subject, 2 sessions, 3 subjects, 4.. records of ARGV[2..]
-- ARGV 1 subject, 2.. session keys
-- reply how many were taken out
local n = 0
for i = 2, #ARGV do
  local data, ours = read(KEYS[i + 2])
  local _, of = parse(ours)
  if not data or of ~= ARGV[1] then
    redis.call('ZREM', KEYS[1], ARGV[i])
    if not data or not of then redis.call('ZREM', KEYS[2], ARGV[i]) end
    n = n + 1
  end
end
settle(KEYS[1], KEYS[2], KEYS[3], ARGV[1], now())
return n
