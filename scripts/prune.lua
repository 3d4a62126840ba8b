-- Takes sessions whose records are gone out of the index: deleted by hand, say.
-- KEYS 1 index of the subject, 2 census, 3.. records of ARGV[2..]
-- ARGV 1 subject, 2.. session IDs, see named
-- reply how many were taken out
local gone = {}
for i = 2, #ARGV - ARGS_OF_ENDINGS do
  if redis.call('EXISTS', KEYS[i + 1]) == 0 then gone[#gone + 1] = named(ARGV[i]) end
end
local n = #gone
settle(KEYS[1], KEYS[2], ARGV[1], now(), gone, true)
return n
