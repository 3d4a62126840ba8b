-- Which subjects are signed in, and with which sessions: an index of sessions
-- for each subject, a census of sessions and one of subjects, all scored by
-- expiry. Times are milliseconds since 1970 by the clock of Redis, which also
-- enforces PXAT. A session is live while now < expiry.

local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- late reports whether the caller's clock is over a minute off, or the command
-- that it has sent has waited for so long: then nothing is to happen.
local function late(caller, t) return math.abs(tonumber(caller) - t) > 60000 end

-- live returns the live sessions in an index.
local function live(index, t)
  return redis.call('ZRANGEBYSCORE', index, string.format('(%.0f', t), '+inf')
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
