-- Marks that the sessions of a subject, or of a whole partition, end which began
-- up to now. Sign-ins that are under way see the mark, see store.lua.
-- KEYS 1 mark: it alone, as Redis runs no script with a key that is not there while its slot migrates
-- ARGV 1 what tells the mark from others
-- reply the mark that was there ('' if none), the mark
local t = now()
local before = redis.pcall('GET', KEYS[1])
if broken(before) then before = false end
local at = tonumber(string.match(before or '', '^%d+') or 0)
local mark = string.format('%.0f', math.max(t, at)) .. '.' .. ARGV[1]
redis.call('DEL', KEYS[1]) -- so that Redis lets the script write when it is full
redis.call('SET', KEYS[1], mark, 'PX', 3600000)
return {before or '', mark}
