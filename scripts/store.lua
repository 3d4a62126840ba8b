-- Starts a session, ending, at the cap, the oldest: 100 at most at once. Whoever refuses looks first whether the others have been
-- deleted by hand, if they are 128 at most.
-- KEYS 1 record, 2 index of the subject, 3 census, 4 mark of the subject, 5 of everybody, see mark.lua,
--      6.. records of ARGV[13..]
-- ARGV 1 session ID, see named, 2 subject, 3 record, 4 expiry, 5 cap, 6 'evict' or 'refuse',
--      7 ID of the session that this one replaces, which does not count ('' if none): the caller ends it,
--      8 the caller's time, 9 for how long the sign-in has been under way, 10 the mark that its own request
--      has left ('' if none), 11 the one that was there before, 12 how it begins, see telling.lua,
--      13.. IDs of sessions that may have to go
-- reply {'OK', for how long there had been a mark when it began ('' if there is none), what the census has of
--       sessions that have expired, if their endings are to be told}, {'REVOKED'}: it began before a mark,
--       {'PAST'}: expired already, {'LATE'}: see late, {'FULL'}: refused,
--       {'TAKEN'}: the ID is in use, {'MORE', ids ...}: call again with these declared as well
-- It must not be repeated: it could not tell an ID that is new from one that has ended.
-- It reads first, and its first write is one that Redis refuses when it is out of memory.
local record, index, census = KEYS[1], KEYS[2], KEYS[3]
local id, subject, expiry, cap = named(ARGV[1]), ARGV[2], ARGV[4], tonumber(ARGV[5])
local t = now()
if late(ARGV[8], t) then return {'LATE'} end
if tonumber(expiry) <= t then return {'PAST'} end
if redis.call('EXISTS', record) == 1 then return {'TAKEN'} end

local began, since = t - tonumber(ARGV[9]), ''
for _, mark in ipairs(redis.call('MGET', KEYS[4], KEYS[5])) do
  if mark == ARGV[10] then mark = ARGV[11] end
  local at = mark and tonumber(string.match(mark, '^%d+') or '')
  if at then
    if at > began then return {'REVOKED'} end
    since = string.format('%.0f', math.min(tonumber(since) or began - at, began - at))
  end
end

local replaced = ARGV[7]
local n = live(index, census, subject, t)

-- evict ends sessions. Its SET does nothing but to fail before any has ended.
local gone, declared = {}, {}
local function evict()
  redis.call('SET', record, '', 'XX')
  for _, one in ipairs(gone) do kill(one, declared[one]) end
end

-- oldest returns up to n live sessions but the replaced one, by sign-in.
local function oldest(n)
  local ids = {}
  local function add(one)
    if one ~= replaced and #ids < n then ids[#ids + 1] = one end
  end
  if ordered(index) then
    local from, page = 0, {}
    repeat
      page = redis.call('ZRANGEBYSCORE', index, 0, 0, 'LIMIT', from, n)
      from = from + n
      for _, entry in ipairs(page) do
        local one = string.sub(entry, 2)
        if tonumber(redis.call('ZSCORE', index, one) or 0) > t then add(one) end
      end
    until #page < n or #ids == n
    if #ids == n then return ids end
  end
  ids = {}
  local live = redis.call('ZRANGEBYSCORE', index, string.format('(%.0f', t), '+inf')
  table.sort(live)
  for _, one in ipairs(live) do add(one) end
  return ids
end

if replaced ~= '' and tonumber(redis.call('ZSCORE', index, replaced) or 0) > t then n = n - 1 end
local over = n - cap + 1
if over > 0 then
  for i = 13, #ARGV - ARGS_OF_ENDINGS do declared[named(ARGV[i])] = KEYS[i - 7] end
  local evicts = ARGV[6] == 'evict'
  if not evicts and n > 128 then return {'FULL'} end
  local batch = evicts and math.min(over, 100) or n
  local more = batch + 32 -- some to spare, as others may sign in at the same time
  for _, one in ipairs(oldest(batch)) do
    if not declared[one] then return {'MORE', unpack(oldest(more))} end
    if evicts or redis.call('EXISTS', declared[one]) == 0 then gone[#gone + 1] = one end
  end
  if not evicts and #gone < over then return {'FULL'} end
  if batch < over and evicts then
    evict()
    settle(index, census, subject, t, gone, true)
    return {'MORE', unpack(oldest(more))}
  end
end
if #gone > 0 then evict() end
redis.call('SET', record, ARGV[3], 'PXAT', expiry)
settle(index, census, subject, t, gone, true, id, expiry)
if not TELLS then return {'OK', since} end
begin(id, ARGV[12], t)
return {'OK', since, unpack(expired(census, t))}
