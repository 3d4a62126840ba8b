-- Replaces a record, if it is still the one that was read; never creates one.
-- KEYS 1 record, 2 index of the subject, 3 census
-- ARGV 1 session ID, see named, 2 subject, 3 verifier, 4 revision that was read, 5 new revision,
--      6 serialized ticket, 7 expiry, 8 new verifier ('' to keep the key), 9 until when the old one reads
-- reply 'OK', 'GONE', 'STALE', 'SUBJECT': it would change, 'PAST': expired already,
--       'BAD': the envelope is not one of ours
local value = read(KEYS[1])
if not value then return 'GONE' end
local revision, verifier, previous, till, subject = parse(value)
if not revision then return 'BAD' end
if revision == ARGV[5] then return 'OK' end -- a repeated command whose reply was lost
local t = now()
if verifier ~= ARGV[3] then
  if previous == ARGV[3] and tonumber(till) > t then return 'STALE' end -- rotated away
  return 'GONE'
end
if subject ~= ARGV[2] then return 'SUBJECT' end
if revision ~= ARGV[4] then return 'STALE' end
if tonumber(ARGV[7]) <= t then return 'PAST' end
if ARGV[8] ~= '' then
  previous, till, verifier = verifier, ARGV[9], ARGV[8]
elseif tonumber(till) <= t then
  previous, till = '-', '0'
end
local envelope = table.concat({'2 u', ARGV[5], verifier, previous, till, subject}, ' ')
redis.call('SET', KEYS[1], envelope .. '\n' .. ARGV[6], 'PXAT', ARGV[7])
settle(KEYS[2], KEYS[3], subject, t, {}, false, named(ARGV[1]), ARGV[7])
return 'OK'
