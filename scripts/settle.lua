-- settle is the end of every script, after what ends sessions. It puts the session id, if there
-- is one, into index and census, takes those out that are gone, trims what has
-- expired, up to 100 of other subjects if trim is set, and lets no set outlive
-- its last member; where endings are told, it leaves what has expired to
-- sweep.lua. It does not touch a set again that it has emptied: Redis would
-- abort the script if the slot is migrating.
local function settle(index, census, subject, t, gone, trim, id, expiry)
  if broken(redis.pcall('ZCARD', index)) then mend(index, census, subject) end
  local counted = redis.pcall('ZCARD', census)
  if broken(counted) then -- renewals will bring its members back
    redis.call('DEL', census)
    counted = 0
  end
  local was, ended = last(index)
  if id then enter(index, id, expiry) end
  if not TELLS then
    for _, dead in ipairs(redis.call('ZRANGEBYSCORE', index, '(0', t, 'LIMIT', 0, 100)) do
      gone[#gone + 1] = dead
    end
  end
  local entries, members = {}, {}
  for i, one in ipairs(gone) do
    entries[2 * i - 1], entries[2 * i], members[i] = one, '#' .. one, member(one, subject)
  end
  if trim and not TELLS then
    for _, dead in ipairs(expired(census, t)) do members[#members + 1] = dead end
  end
  local listed = redis.call('ZCARD', index)
  if #gone > 0 then listed = listed - redis.call('ZREM', index, unpack(entries)) end
  if #members > 0 then counted = counted - take(census, members, gone, subject, t) end
  if listed > 0 then
    local top, till = last(index)
    for _, other in ipairs({was or id, id}) do
      local score = other and other ~= top and redis.call('ZSCORE', index, other)
      if score then redis.call('ZADD', census, score, member(other, subject)) end
    end
    if top == id or top ~= was or till ~= ended or counted == 0 then
      redis.call('ZADD', census, LAST + till, member(top, subject))
    end
    redis.call('PEXPIREAT', index, till)
  end
  if listed + counted > 0 then
    local _, till = last(census)
    redis.call('PEXPIREAT', census, till % LAST + REMEMBERED)
  end
end
