-- Lists live sessions of a partition, by expiry, then by member.
-- KEYS 1 census
-- ARGV 1 time, 2 expiry and 3 ID, as in members, of the session to begin behind
--      ('0', '' if none), 4 how many
-- reply member, expiry, and so on
local LAST = 1e14
local t, at, id, n = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

-- The two halves of the census, each in that order.
local half = {}
for i, base in ipairs({0, LAST}) do
  local from = redis.call('ZCOUNT', KEYS[1], '-inf', base + t)
  if at > t then
    from = redis.call('ZCOUNT', KEYS[1], '-inf', string.format('(%.0f', base + at))
    local to = redis.call('ZCOUNT', KEYS[1], '-inf', base + at)
    while from < to do -- those that expire at at are by member
      local middle = math.floor((from + to) / 2)
      local member = redis.call('ZRANGE', KEYS[1], middle, middle)[1]
      if string.sub(member, 1, #id) <= id then from = middle + 1 else to = middle end
    end
  end
  half[i] = redis.call('ZRANGE', KEYS[1], from, from + n - 1, 'WITHSCORES')
end

local page, a, b = {}, 1, 1
while #page < 2 * n do
  local one, other = tonumber(half[1][a + 1]), tonumber(half[2][b + 1])
  if one and one >= LAST then one = nil end -- of the other half
  if other then other = other - LAST end
  if not one and not other then break end
  local expiry = one
  if not one or other and (other < one or other == one and half[2][b] < half[1][a]) then
    expiry = other
    page[#page + 1], b = half[2][b], b + 2
  else
    page[#page + 1], a = half[1][a], a + 2
  end
  page[#page + 1] = string.format('%.0f', expiry)
end
return page
