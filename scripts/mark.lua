-- Marks that the sessions of a subject end which began up to now, and lists
-- what there is to end. Sign-ins that are under way see the mark.
-- KEYS 1 mark, 2 index of the subject, 3 census; of the sessions of a whole
--      partition the mark alone
-- ARGV 1 what tells the mark from others, 2 subject
-- reply the mark that was there ('' if none), the mark, session IDs
local t = now()
local before = redis.pcall('GET', KEYS[1])
if broken(before) then before = false end
local at = tonumber(string.match(before or '', '^%d+') or 0)
local mark = string.format('%.0f', math.max(t, at)) .. '.' .. ARGV[1]
redis.call('DEL', KEYS[1]) -- so that Redis lets the script write when it is full
redis.call('SET', KEYS[1], mark, 'PX', 3600000)
local reply = {before or '', mark}
if not KEYS[2] then return reply end
local ids = redis.pcall('ZRANGEBYSCORE', KEYS[2], '(0', '+inf')
if broken(ids) then
  mend(KEYS[2], KEYS[3], ARGV[2])
  ids = redis.call('ZRANGEBYSCORE', KEYS[2], '(0', '+inf')
end
for i, id in ipairs(ids) do reply[i + 2] = id end
return reply
