-- Prepended to each script, behind census.lua. A record is RedisCache's hash
-- (absexp, sldexp, data) with a field of ours, ticketstore: '1', the name of
-- our last write, and the expiry in ms and the subject that the index has the
-- session by; or 'gone' once it has ended. RedisCache keeps a field that it
-- does not know, also when it writes the session again. Indexes and the census
-- of sessions hold session keys.

-- read returns data and our field of a record, false for what is missing. A
-- key of another type has empty data.
local function read(record)
  local fields = redis.pcall('HMGET', record, 'data', 'ticketstore')
  if not fields.err then return fields[1], fields[2] end
  if string.find(fields.err, 'WRONGTYPE', 1, true) then return '', false end
  error(fields.err)
end

local function field(write, expiry, subject) return '1 ' .. write .. ' ' .. expiry .. ' ' .. subject end

-- parse returns the name of the last write, and subject and expiry in the
-- index, of our field.
local function parse(ours)
  local write, expiry, subject = string.match(ours or '', '^1 (%x+) (%d+) (.+)$')
  return write, subject, tonumber(expiry)
end

-- owned reports whether a live session is in subject's index.
local function owned(record, subject)
  local data, ours = read(record)
  local _, of = parse(ours)
  return data and of == subject
end

-- bury ends a session: what stays, until it would have expired and for an hour
-- at least, is a hash without data, which RedisCache takes for no entry. It
-- returns 1 if the session was live, else 0. It fails before it has changed
-- anything, if an ACL forbids what it takes: half an ending, and a renewal by
-- ASP.NET Core would bring the session back. The first HDEL does nothing; Redis
-- does not refuse it when memory is full, nor what follows it.
local function bury(record, t)
  local data, ours = read(record)
  if not data and not ours then return 0 end
  local till = tonumber(redis.call('PTTL', record)) + t
  if data == '' and redis.call('TYPE', record).ok ~= 'hash' then
    redis.call('DEL', record)
  else
    -- .NET ticks are 100 ns since the year 1.
    local ticks = tonumber(redis.call('HGET', record, 'absexp') or '')
    till = math.max(till, ((ticks or 0) - 621355968000000000) / 10000)
  end
  till = math.min(math.max(till, t + 3600000), t + 34560000000) -- 400 days
  redis.call('HDEL', record, '')
  redis.call('HSET', record, 'ticketstore', 'gone')
  redis.call('HDEL', record, 'absexp', 'sldexp', 'data')
  redis.call('PEXPIREAT', record, string.format('%.0f', till))
  return data and ours ~= 'gone' and 1 or 0
end

local function drop(record, index, sessions, key, t)
  local n = bury(record, t)
  redis.call('ZREM', index, key)
  redis.call('ZREM', sessions, key)
  return n
end
