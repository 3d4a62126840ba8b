-- Ends sessions of a partition, by what the census has of them.
-- KEYS 1 census, then of each subject its index and, where endings are told, its
--      history and begun, see telling.lua, then the records of its sessions;
--      where endings are told, last ended
-- ARGV 1 'expired' if only those that have, 2.. members of the census, those of
--      a subject together
-- reply how many records were there
local census, t = KEYS[1], now()
local scores = redis.call('ZMSCORE', census, unpack(ARGV, 2, #ARGV - ARGS_OF_ENDINGS))
local groups, members, records, ids, k, n = {}, {}, {}, {}, 2, 0
local subject, group
for i, score in ipairs(scores) do
  local one = ARGV[i + 1]
  if string.sub(one, 23) ~= subject then
    subject = string.sub(one, 23)
    group = {subject = subject, index = KEYS[k], history = KEYS[k + 1], begun = KEYS[k + 2], ids = {}, causes = {}, times = {}}
    k = k + (TELLS and 3 or 1)
  end
  local expiry = score and score % LAST
  -- Whoever ends them all may know of one that has lost its place in the census.
  local lost = not score and ARGV[1] == '' and redis.call('DEL', KEYS[k]) == 1
  if lost then n = n + 1 end
  if lost or score and (ARGV[1] == '' or expiry <= t) then
    local id, cause, at = string.sub(KEYS[k], -36), ARGV[#ARGV - 2], t
    if score and expiry <= t then cause, at = '', expiry end
    members[#members + 1], records[#records + 1], ids[#ids + 1] = one, KEYS[k], id
    local last = #group.ids + 1
    if last == 1 then groups[#groups + 1] = group end
    group.ids[last], group.causes[last], group.times[last] = id, cause, at
    group.last = group.last or tonumber(score or 0) >= LAST
  end
  k = k + 1
end
if #records == 0 then return 0 end

n = n + redis.call('DEL', unpack(records))
for _, group in ipairs(groups) do
  local index, listed = group.index, redis.pcall('ZCARD', group.index)
  if broken(listed) then
    mend(index, census, group.subject)
    listed = redis.call('ZCARD', index)
  end
  listed = listed - redis.call('ZREM', index, unpack(group.ids))
  if listed > 0 then
    local ordered = {}
    for i, id in ipairs(group.ids) do ordered[i] = '#' .. id end
    listed = listed - redis.call('ZREM', index, unpack(ordered))
  end
  if listed > 0 and group.last then
    local top, till = last(index)
    redis.call('ZADD', census, LAST + till, member(top, group.subject))
  end
end
redis.call('ZREM', census, unpack(members))
if TELLS then
  for _, group in ipairs(groups) do
    tell(KEYS[#KEYS], group.history, group.begun, group.subject, t, group.ids, group.causes, group.times)
  end
  hint(ids)
end
return n
