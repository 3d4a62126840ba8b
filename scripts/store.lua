-- Starts a session, ending the one it replaces and, at the cap, the oldest.
-- KEYS 1 record, 2 index of the subject, 3 census,
--      4 record of the replaced session (KEYS[1] if none), 5.. records of ARGV[8..]
-- ARGV 1 session ID, 2 subject, 3 record, 4 expiry, 5 cap, 6 'evict' or 'refuse',
--      7 ID of the replaced session ('' if none), 8.. IDs of sessions that may have to go
-- reply {'OK'}, {'PAST'}: expired already, {'FULL'}: refused, {'TAKEN'}: the ID is in use,
--       {'MORE', ids ...}: call again with these declared as well
-- It must not be repeated: it could not tell an ID that is new from one that has ended.
-- It reads first, and its first write is one that Redis refuses when it is out of memory.
local record, index, census = KEYS[1], KEYS[2], KEYS[3]
local id, subject, expiry, cap = ARGV[1], ARGV[2], ARGV[4], tonumber(ARGV[5])
local t = now()
if tonumber(expiry) <= t then return {'PAST'} end
if redis.call('EXISTS', record) == 1 then return {'TAKEN'} end

local replaced = ARGV[7]
if replaced ~= '' and not owns(subject, read(KEYS[4]), index, replaced, t) then replaced = '' end

local others = {}
for _, other in ipairs(redis.call('ZRANGEBYSCORE', index, string.format('(%.0f', t), '+inf')) do
  if other ~= replaced then others[#others + 1] = other end
end
local over = #others - cap + 1
local gone = {}
local declared = {}
if over > 0 then
  table.sort(others) -- IDs are UUIDv7: the oldest sign-in comes first
  local evict = ARGV[6] == 'evict'
  for i = 8, #ARGV do declared[ARGV[i]] = KEYS[i - 3] end
  -- Whoever refuses must know that all the others are alive.
  for i = 1, evict and over or #others do
    local other = others[i]
    if not declared[other] then
      local more = {'MORE'}
      for n = 1, evict and math.min(#others, over + 32) or #others do more[n + 1] = others[n] end
      return more
    end
    if evict or redis.call('EXISTS', declared[other]) == 0 then
      gone[#gone + 1] = other
    end
  end
  if #gone < over then return {'FULL'} end
end
redis.call('SET', record, ARGV[3], 'PXAT', expiry)
for _, other in ipairs(gone) do redis.call('DEL', declared[other]) end
if replaced ~= '' then
  redis.call('DEL', KEYS[4])
  gone[#gone + 1] = replaced
end
settle(index, census, subject, t, gone, true, id, expiry)
return {'OK'}
