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
  if score > 0 and (ARGV[1] == '' or expiry <= t) then
    n = n + redis.call('DEL', record)
    if broken(redis.pcall('ZREM', index, id, '#' .. id)) then
      mend(index, census, subject)
      redis.call('ZREM', index, id, '#' .. id)
    end
    redis.call('ZREM', census, one)
    local top, till = last(index)
    if score >= LAST and top then redis.call('ZADD', census, LAST + till, member(top, subject)) end
    if TELLS then
      local cause, at = ARGV[#ARGV - 2], t
      if expiry <= t then cause, at = '', expiry end
      tell(KEYS[#KEYS], KEYS[k + 2], KEYS[k + 3], id, subject, t, cause, ARGV[#ARGV - 1], at)
    end
  end
end
return n
