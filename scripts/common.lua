-- Prepended to each script that writes; then comes silent.lua or telling.lua,
-- then settle.lua.
--
-- A session is a record: a line of envelope, then the ticket. Two sorted sets
-- list it, the index of its subject and the census of its partition:
--   index    session ID -> expiry; once there are more than 128 also '#' and
--            session ID -> 0, which is by sign-in, as IDs are UUIDv7
--   census   session ID, as 22 characters of base64url, and subject -> expiry;
--            for the one of each subject that expires last, expiry + 10^14: so
--            there are as many of these as there are subjects
-- Times are milliseconds since 1970 by the clock of Redis, which also enforces
-- PXAT. A session is live while now < expiry.
--
-- What ends a session comes first in each script: one that fails half-way has
-- ended it, or has changed nothing.

local LAST = 1e14

local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- late reports whether the caller's clock is over a minute off, or the command
-- that it has sent has waited for so long: then nothing is to happen.
local function late(caller, t) return math.abs(tonumber(caller) - t) > 60000 end

-- named returns the session ID in an argument, which has it twice: as it is,
-- and behind = as the census has it, which takes long to work out here.
local shorts = {}
local function named(argument)
  if string.sub(argument, 37, 37) ~= '=' then return argument end
  local id = string.sub(argument, 1, 36)
  shorts[id] = string.sub(argument, 38)
  return id
end

-- member returns what the census has of a session.
local digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
local function member(id, subject)
  if not shorts[id] then
    local hex = string.gsub(id, '-', '') .. '0'
    shorts[id] = string.gsub(hex, '...', function(three)
      local n = tonumber(three, 16) or 0 -- no ID, but put into an index by hand
      local high, low = math.floor(n / 64) + 1, n % 64 + 1
      return string.sub(digits, high, high) .. string.sub(digits, low, low)
    end)
  end
  return shorts[id] .. subject
end

-- long returns the session ID of which short is how the census has it.
local function long(short)
  local hex = string.gsub(short, '..', function(two)
    local high, low = string.byte(two, 1, 2)
    high = string.find(digits, string.char(high), 1, true) or 1
    low = string.find(digits, string.char(low), 1, true) or 1
    return string.format('%03x', (high - 1) * 64 + low - 1)
  end)
  return string.sub(hex, 1, 8) .. '-' .. string.sub(hex, 9, 12) .. '-' .. string.sub(hex, 13, 16) .. '-' .. string.sub(hex, 17, 20) .. '-' .. string.sub(hex, 21, 32)
end

-- parse returns the state of a record, revision, verifier, previous verifier,
-- until when that only reads, the subject, and s if the ticket is sealed ('' if
-- it is not); nil if its envelope is not one of ours. The state is u, or n and
-- the grace in ms while the key is unused.
local function parse(record)
  local seal, state, revision, verifier, previous, till, subject = string.match(record, '^2(s?) (%w+) (%S+) (%S+) (%S+) (%d+) ([^\n]*)\n')
  if state == 'u' or state and string.match(state, '^n%d+$') then
    return state, revision, verifier, previous, tonumber(till), subject, seal
  end
end

-- is reports whether a record has verifier of a key. What it may have of that is
-- given with spaces between, as there are several where records are sealed.
local function is(key, verifier)
  return key == verifier or string.find(' ' .. key .. ' ', ' ' .. verifier .. ' ', 1, true) ~= nil
end

-- opens returns what a key may do: 'ALL', 'READ', or 'NONE' if it is not, or no
-- longer, the key of the record. The previous one, while the key is unused,
-- only reads within the grace; after it the response with the new key is taken
-- to be lost.
local function opens(key, state, verifier, previous, till, t)
  if is(key, verifier) then return 'ALL' end
  if not is(key, previous) then return 'NONE' end
  if t < till then return 'READ' end
  return state == 'u' and 'NONE' or 'ALL'
end

-- used returns state and end of the grace once the key of a record is in use.
local function used(state, till, t)
  if state == 'u' then return state, till end
  return 'u', t + tonumber(string.sub(state, 2))
end

local function envelope(state, revision, verifier, previous, till, subject, seal)
  return table.concat({'2' .. seal, state, revision, verifier, previous, string.format('%.0f', till), subject}, ' ') .. '\n'
end

-- read returns the beginning of a record, all of its envelope; false if there
-- is none, '' if another type is there.
local function read(record)
  local value = redis.pcall('GETRANGE', record, 0, 1499)
  if type(value) == 'table' then
    if string.find(value.err, 'WRONGTYPE', 1, true) then return '' end
    error(value.err)
  end
  if value == '' and redis.call('EXISTS', record) == 0 then return false end
  return value
end

-- broken reports whether a reply says that another type is there: put by hand.
local function broken(reply)
  if type(reply) ~= 'table' or not reply.err then return false end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then error(reply.err) end
  return true
end

-- mend puts an index in place of what is no index, from the census; it fails if
-- that is none either: then nothing says which sessions there are.
local function mend(index, census, subject)
  local all = redis.pcall('ZRANGE', census, 0, -1, 'WITHSCORES')
  if broken(all) then error('WRONGTYPE ' .. index .. ' and ' .. census .. ' are no sorted sets: delete both') end
  redis.call('DEL', index)
  for i = 1, #all, 2 do
    if string.sub(all[i], 23) == subject then
      redis.call('ZADD', index, all[i + 1] % LAST, long(string.sub(all[i], 1, 22)))
    end
  end
end

-- live returns how many live sessions are in an index.
local function live(index, census, subject, t)
  local from = string.format('(%.0f', t)
  local n = redis.pcall('ZCOUNT', index, from, '+inf')
  if not broken(n) then return n end
  mend(index, census, subject)
  return redis.call('ZCOUNT', index, from, '+inf')
end

-- owns reports whether a session is subject's: its record, as read returns it,
-- or, where that cannot be parsed, the index says so.
local function owns(subject, value, index, census, id, t)
  if not value then return false end
  local state, _, _, _, _, of = parse(value)
  if state then return of == subject end
  local expiry = redis.pcall('ZSCORE', index, id)
  if broken(expiry) then
    mend(index, census, subject)
    expiry = redis.call('ZSCORE', index, id)
  end
  return expiry and tonumber(expiry) > t
end

-- last returns the session in an index that expires last, and when.
local function last(index)
  local top = redis.call('ZREVRANGE', index, 0, 0, 'WITHSCORES')
  return top[1], top[2]
end

-- ordered reports whether an index is also by sign-in.
local function ordered(index)
  local first = redis.call('ZRANGE', index, 0, 0)[1]
  return first and string.sub(first, 1, 1) == '#'
end

-- enter puts a session into an index.
local function enter(index, id, expiry)
  if redis.call('ZADD', index, expiry, id) == 0 then return end
  if ordered(index) then
    redis.call('ZADD', index, 0, '#' .. id)
  elseif redis.call('ZCARD', index) > 128 then
    for _, one in ipairs(redis.call('ZRANGE', index, 0, -1)) do redis.call('ZADD', index, 0, '#' .. one) end
  end
end

-- expired returns what a census has of sessions that have, up to 100.
local function expired(census, t)
  local dead = {}
  for _, base in ipairs({0, LAST}) do
    for _, one in ipairs(redis.call('ZRANGEBYSCORE', census, base, base + t, 'LIMIT', 0, 100 - #dead)) do dead[#dead + 1] = one end
  end
  return dead
end
