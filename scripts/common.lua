-- Prepended to each script, behind internal/census/census.lua.

-- parse returns revision, verifier, previous verifier, its end and the
-- subject of a record, or nil if its envelope is not one of ours.
local function parse(record)
  return string.match(record, '^1 (%x+) (%S+) (%S+) (%d+) ([^\n]*)\n')
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
