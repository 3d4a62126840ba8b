-- Prepended to each script. Times are milliseconds since 1970 by the clock of
-- Redis, which also enforces PXAT. A session is live while now < expiry.

local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- parse returns revision, verifier, previous verifier, its end and the
-- subject of a record, or nil if its envelope is not one of ours.
local function parse(record)
  return string.match(record, '^1 (%x+) (%S+) (%S+) (%d+) ([^\n]*)\n')
end

-- live returns the live sessions in an index.
local function live(index, t)
  return redis.call('ZRANGEBYSCORE', index, string.format('(%.0f', t), '+inf')
end

-- read returns a record, false if there is none, '' if another type is there.
local function read(record)
  local value = redis.pcall('GET', record)
  if type(value) ~= 'table' then return value end
  if string.find(value.err, 'WRONGTYPE', 1, true) then return '' end
  error(value.err)
end

-- owned reports whether a session is subject's: its record or, where that
-- cannot be read, the index says so.
local function owned(record, index, id, subject, t)
  local value = read(record)
  if not value then return false end
  local revision, _, _, _, of = parse(value)
  if revision then return of == subject end
  local score = redis.call('ZSCORE', index, id)
  return score and tonumber(score) > t
end

local function drop(record, index, sessions, id)
  redis.call('ZREM', index, id)
  redis.call('ZREM', sessions, id)
  return redis.call('DEL', record)
end

-- settle is the last step of every script: it trims what has expired, brings
-- the census of subjects up to date, and lets no set outlive its last member.
local function settle(index, sessions, subjects, subject, t)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', t)
  local top = redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')
  if top[2] then
    redis.call('ZADD', subjects, top[2], subject)
    redis.call('PEXPIREAT', index, top[2])
  else
    redis.call('ZREM', subjects, subject)
  end
  for _, set in ipairs({sessions, subjects}) do
    local dead = redis.call('ZRANGEBYSCORE', set, '-inf', t, 'LIMIT', 0, 100)
    if #dead > 0 then redis.call('ZREM', set, unpack(dead)) end
    top = redis.call('ZREVRANGE', set, 0, 0, 'WITHSCORES')
    if top[2] then redis.call('PEXPIREAT', set, top[2]) end
  end
end
