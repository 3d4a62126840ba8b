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

-- tell tells that a session has ended at a time. A cause of '' is found out: it
-- was idle, or reached its lifetime, by nobody. If it is 'forgotten', nothing says whose
-- the session was.
local function tell(ended, history, begun, id, subject, t, cause, by, at)
  local began = redis.pcall('HGET', begun, id)
  if broken(began) then
    redis.call('DEL', begun)
    began = false
  end
  began = began or '0 '
  redis.call('HDEL', begun, id)
  local split = string.find(began, ' ', 1, true)
  local ends = tonumber(string.sub(began, 1, split - 1))
  if cause == '' then cause, by = ends > 0 and at >= ends and 'lifetime' or 'idle', '' end
  began = string.sub(began, split + 1)
  if cause == 'forgotten' then subject, by, began = '', '', '' end
  local since = string.format('%.0f', t - REMEMBERED)
  local entry
  repeat
    entry = redis.pcall('XADD', ended, 'MINID', since, '*', 'id', id, 'subject', subject,
      'at', string.format('%.0f', at), 'cause', cause, 'by', by, 'began', began)
    local again = broken(entry)
    if again then redis.call('DEL', ended) end
  until not again
  redis.call('PEXPIREAT', ended, t + REMEMBERED)
  if subject ~= '' then
    if broken(redis.pcall('ZADD', history, t, entry)) then
      redis.call('DEL', history)
      redis.call('ZADD', history, t, entry)
    end
    redis.call('ZREMRANGEBYSCORE', history, 0, since)
    redis.call('PEXPIREAT', history, t + REMEMBERED)
  end
  redis.pcall('PUBLISH', ARGV[#ARGV], id)
end

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
local function take(census, members, ids, subject, t)
  local n = 0
  for i, one in ipairs(members) do
    local id, score = ids[i], redis.call('ZSCORE', census, one)
    local listed = redis.call('ZREM', census, one)
    n = n + listed
    if killed[id] or listed == 1 then
      local expiry, cause, by, at = score and score % LAST, ARGV[#ARGV - 2], ARGV[#ARGV - 1], t
      if not killed[id] and cause ~= 'forgotten' then
        cause, by = 'deleted', ''
        if expiry <= t then cause, at = '', expiry end
      end
      tell(KEYS[#KEYS - 2], KEYS[#KEYS - 1], KEYS[#KEYS], id, subject, t, cause, by, at)
    end
  end
  return n
end
