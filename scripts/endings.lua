-- Reads the endings of partitions.
-- KEYS of each partition its census and ended, see telling.lua
-- ARGV 1 how many endings at most, 2 how long they are remembered in ms, 3.. of each
--      partition the ID in ended of the last that was read ('0-0' if none)
-- reply time; then for each partition: the members of the census that have expired,
--       up to 100; the last ID that ended has given, or that of the last ending here
--       ('' if it is not there); endings
local LAST = 1e14
local clock = redis.call('TIME')
local t = clock[1] * 1000 + math.floor(clock[2] / 1000)
local left = tonumber(ARGV[1])
local reply = {string.format('%.0f', t)}
for p = 1, #KEYS / 2 do
  local census, ended, seen = KEYS[2 * p - 1], KEYS[2 * p], ARGV[2 + p]
  local dead = {}
  for _, base in ipairs({0, LAST}) do
    for _, one in ipairs(redis.call('ZRANGEBYSCORE', census, base, base + t, 'LIMIT', 0, 100 - #dead)) do dead[#dead + 1] = one end
  end
  local given, entries = '', {}
  if left > 0 then entries = redis.call('XRANGE', ended, '(' .. seen, '+', 'COUNT', left) end
  if #entries > 0 then
    given = entries[#entries][1]
    left = left - #entries
  elseif ARGV[1] ~= '0' and (left == 0 or #redis.call('XRANGE', ended, seen, seen) == 1) then
    given = seen
  elseif redis.call('EXISTS', ended) == 1 then -- which is slow to say how far it is
    local info = redis.call('XINFO', 'STREAM', ended)
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then given = info[i + 1] end
    end
  end
  reply[p + 1] = {dead, given, entries}
end
return reply
