-- Ends sessions of a partition, by what the census has of them.
-- KEYS 1 census, then of each session its record and the index of its subject;
--      where endings are told also history and begun, see telling.lua
-- ARGV 1 'expired' if only those that have, 2.. members of the census
-- reply how many records were there
local census, t, n = KEYS[1], now(), 0
local each = TELLS and 4 or 2
for i = 2, #ARGV - ARGS_OF_ENDINGS do
  local one, k = ARGV[i], 2 + (i - 2) * each
  local record, index = KEYS[k], KEYS[k + 1]
  local id, subject = long(string.sub(one, 1, 22)), string.sub(one, 23)
  local score = tonumber(redis.call('ZSCORE', census, one) or 0)
  local expiry = score % LAST
  if ARGV[1] == '' or score > 0 and expiry <= t then
    local ended = redis.call('DEL', record)
    n = n + ended
    if broken(redis.pcall('ZCARD', index)) then mend(index, census, subject) end
    local left = redis.call('ZCARD', index) - redis.call('ZREM', index, id, '#' .. id)
    if score >= LAST and left > 0 then -- before the census may be empty, see settle
      local top, till = last(index)
      redis.call('ZADD', census, LAST + till, member(top, subject))
    end
    local listed = redis.call('ZREM', census, one)
    if TELLS and ended + listed > 0 then
      local cause, at = ARGV[#ARGV - 2], t
      if score > 0 and expiry <= t then cause, at = '', expiry end
      tell(KEYS[#KEYS], KEYS[k + 2], KEYS[k + 3], id, subject, t, cause, ARGV[#ARGV - 1], at)
    end
  end
end
return n
