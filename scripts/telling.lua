-- Where endings are remembered, in place of silent.lua.
--
--   ended             stream of a partition: its endings
--   history:<subject> ID in that stream -> when it was told
--   begun:<subject>   hash: session ID -> EndsAt (ms, 0 if none) and how it began
--
-- Whoever deletes the record of a session, or takes it out of the census, tells
-- its ending: that is done once. At its expiry a record may still be there, so
-- that whoever takes it for expired deletes it.
-- KEYS last three: ended, history, begun
-- ARGV last four: how long endings are remembered in ms, cause, by whom, channel
local TELLS, KEYS_OF_ENDINGS, ARGS_OF_ENDINGS = true, 3, 4
local REMEMBERED = tonumber(ARGV[#ARGV - 3])

-- append adds an ending to the stream. Only the first of a script trims it.
local trimmed = false
local function append(ended, t, ...)
  if trimmed then return redis.call('XADD', ended, '*', ...) end
  local entry
  repeat
    entry = redis.pcall('XADD', ended, 'MINID', string.format('%.0f', t - REMEMBERED), '*', ...)
    local again = broken(entry)
    if again then redis.call('DEL', ended) end
  until not again
  redis.call('PEXPIREAT', ended, t + REMEMBERED)
  trimmed = true
  return entry
end

-- tell tells that sessions of a subject have ended, each with the cause and the
-- time at its place. A cause of '' is found out: it was idle, or reached its
-- lifetime. That was nobody, nor who has only noticed what was 'deleted' by hand.
-- If it is 'forgotten', nothing says whose the session was.
local function tell(ended, history, begun, subject, t, ids, causes, times)
  local begins = redis.pcall('HMGET', begun, unpack(ids))
  if broken(begins) then
    redis.call('DEL', begun)
    begins = {}
  else
    redis.call('HDEL', begun, unpack(ids))
  end
  local entries = {}
  for i, id in ipairs(ids) do
    local ends, began = string.match(begins[i] or '', '^(%d+) (.*)$')
    local cause, at, of, by = causes[i], times[i], subject, ARGV[#ARGV - 1]
    if cause == '' or cause == 'deleted' then by = '' end
    if cause == '' then
      ends = tonumber(ends or 0)
      cause = ends > 0 and at >= ends and 'lifetime' or 'idle'
    end
    if cause == 'forgotten' then of, by, began = '', '', '' end
    local entry = append(ended, t, 'id', id, 'subject', of,
      'at', string.format('%.0f', at), 'cause', cause, 'by', by, 'began', began or '')
    if of ~= '' then
      entries[#entries + 1] = t
      entries[#entries + 1] = entry
    end
  end
  if #entries > 0 then
    if broken(redis.pcall('ZADD', history, unpack(entries))) then
      redis.call('DEL', history)
      redis.call('ZADD', history, unpack(entries))
    end
    redis.call('ZREMRANGEBYSCORE', history, 0, t - REMEMBERED)
    redis.call('PEXPIREAT', history, t + REMEMBERED)
  end
end

-- hint publishes which sessions have ended.
local function hint(ids) redis.pcall('PUBLISH', ARGV[#ARGV], table.concat(ids, ' ')) end

-- begin notes how a session begins, for when it ends.
local function begin(id, began, t)
  local begun = KEYS[#KEYS]
  if broken(redis.pcall('HSET', begun, id, began)) then
    redis.call('DEL', begun)
    redis.call('HSET', begun, id, began)
  end
  local till = tonumber(string.match(began, '^%d+'))
  if till == 0 then till = t + 400 * 86400000 end
  till = till + REMEMBERED
  if t + redis.call('PTTL', begun) < till then redis.call('PEXPIREAT', begun, till) end
end

local killed = {}
local function kill(id, record)
  local n = redis.call('DEL', record)
  killed[id] = n == 1
  return n
end

-- take takes sessions out of the census and tells of them.
local function take(census, members, gone, subject, t)
  local scores = redis.call('ZMSCORE', census, unpack(members))
  local n = redis.call('ZREM', census, unpack(members))
  local ids, causes, times = {}, {}, {}
  for i, id in ipairs(gone) do
    if killed[id] or scores[i] then
      local expiry, cause, at = scores[i] and scores[i] % LAST, ARGV[#ARGV - 2], t
      if not killed[id] and cause ~= 'forgotten' then
        cause = 'deleted'
        if expiry <= t then cause, at = '', expiry end
      end
      ids[#ids + 1], causes[#ids + 1], times[#ids + 1] = id, cause, at
    end
  end
  if #ids > 0 then
    tell(KEYS[#KEYS - 2], KEYS[#KEYS - 1], KEYS[#KEYS], subject, t, ids, causes, times)
    hint(ids)
  end
  return n
end
