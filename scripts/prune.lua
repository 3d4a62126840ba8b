-- Takes sessions out of the index whose records are gone, deleted by hand, say,
-- or another subject's: then the entry was made by hand.
-- KEYS 1 index of the subject, 2 census, 3.. records of ARGV[2..]
-- ARGV 1 subject, 2.. session IDs, see named
-- reply how many were taken out
local gone = {}
for i = 2, #ARGV - ARGS_OF_ENDINGS do
  local value, of = read(KEYS[i + 1])
  if value then of = select(6, parse(value)) end
  if not value or of and of ~= ARGV[1] then gone[#gone + 1] = named(ARGV[i]) end
end
local n = #gone
settle(KEYS[1], KEYS[2], ARGV[1], now(), gone, true)
return n
