-- Marks that the sessions of a link end which began up to a time: see mark.lua.
-- KEYS 1 mark of the link: it alone, as in mark.lua
-- ARGV 1 that time ('' for now)
-- reply that time
local upTo = ARGV[1]
if upTo == '' then upTo = string.format('%.0f', now()) end
local before = redis.pcall('GET', KEYS[1])
if broken(before) then before = false end
local mark = math.max(tonumber(before or 0) or 0, tonumber(upTo))
redis.call('DEL', KEYS[1]) -- so that Redis lets the script write when it is full
redis.call('SET', KEYS[1], string.format('%.0f', mark), 'PX', 3600000)
return upTo
