-- Marks that the sessions of a link end which began up to a time, or all: see
-- mark.lua. The mark is that time, for what goes by it, a space, and for all when
-- their sign-in began, by the clock of Redis; 0 if none was marked so.
-- KEYS 1 mark of the link: it alone, as in mark.lua
-- ARGV 1 that time ('' for all)
local before = redis.pcall('GET', KEYS[1])
if broken(before) then before = false end
local upTo, all = string.match(before or '', '^(%d+) (%d+)$')
upTo, all = tonumber(upTo or 0), tonumber(all or 0)
if ARGV[1] == '' then
  all = math.max(all, now())
else
  upTo = math.max(upTo, tonumber(ARGV[1]))
end
redis.call('DEL', KEYS[1]) -- so that Redis lets the script write when it is full
redis.call('SET', KEYS[1], string.format('%.0f %.0f', upTo, all), 'PX', 3600000)
return 1
