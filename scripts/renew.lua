-- Replaces a record, if it is still the one that was read; never creates one.
-- KEYS 1 record, 2 index of the subject, 3 census
-- ARGV 1 session ID, see named, 2 subject, 3 verifiers, see is, first the one to write, 4 revision that was read, 5 new revision,
--      6 serialized ticket, 7 expiry, 8 new verifier ('' to keep the key), 9 grace in ms,
--      10 the caller's time, 11 'unsent' if no response with the key has been sent ('' if one may have),
--      12 's' if the ticket is sealed ('' if it is not)
-- reply 'OK', 'GONE', 'NONE': the key opens it no longer, 'NONEs': the same of one that is sealed, 'STALE', 'SUBJECT': it would change,
--       'PAST': expired already, 'LATE': see late, 'BAD': the envelope is not one of ours
local value = read(KEYS[1])
if not value then return 'GONE' end
local state, revision, verifier, previous, till, subject, seal = parse(value)
if not state then return 'BAD' end
if revision == ARGV[5] then return 'OK' end -- a repeated command whose reply was lost
local t = now()
if late(ARGV[10], t) then return 'LATE' end
local may = opens(ARGV[3], state, verifier, previous, till, t)
if may == 'NONE' then return 'NONE' .. seal end
if may == 'READ' then return 'STALE' end
if subject ~= ARGV[2] then return 'SUBJECT' end
if revision ~= ARGV[4] then return 'STALE' end
if tonumber(ARGV[7]) <= t then return 'PAST' end
local first = string.match(ARGV[3], '^%S+')
if is(ARGV[3], verifier) then
  if ARGV[11] == '' then state, till = used(state, till, t) end
  verifier = first
else
  previous = first
end
if ARGV[8] ~= '' then
  if state == 'u' then previous = verifier end -- an unused key is replaced
  state, verifier, till = 'n' .. ARGV[9], ARGV[8], t + tonumber(ARGV[9])
end
redis.call('SET', KEYS[1], envelope(state, ARGV[5], verifier, previous, till, subject, ARGV[12]) .. ARGV[6], 'PXAT', ARGV[7])
settle(KEYS[2], KEYS[3], subject, t, {}, false, named(ARGV[1]), ARGV[7])
return 'OK'
