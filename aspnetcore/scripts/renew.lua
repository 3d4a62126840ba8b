-- Replaces a ticket, if it is still the one that was read; never creates one.
-- KEYS 1 record, 2 index of the subject, 3 sessions, 4 subjects
-- ARGV 1 session key, 2 subject, 3 revision that was read: SHA-1 of its data, in hex, and
--      the name of its write, 4 data, 5 expiry in .NET ticks, 6 in ms, 7 name of this write,
--      8 the caller's time in ms
-- reply 'OK', 'GONE', 'STALE', 'UNSEEN': it is not in the index of this subject,
--       'PAST': expired already, 'LATE': see late
local record, index, sessions, subjects = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local key, subject, expiry = ARGV[1], ARGV[2], tonumber(ARGV[6])
local data, ours = read(record)
if not data or ours == 'gone' then return 'GONE' end
local write, of, ends = parse(ours)
if of ~= subject then return 'UNSEEN' end
if write == ARGV[7] then return 'OK' end -- a repeated command whose reply was lost
if redis.sha1hex(data) .. write ~= ARGV[3] then return 'STALE' end
local t = now()
if late(ARGV[8], t) then return 'LATE' end
if ends <= t then return 'GONE' end -- by its own expiry, however long the record is kept
if expiry <= t then return 'PAST' end
redis.call('HSET', record, 'absexp', ARGV[5], 'data', ARGV[4], 'ticketstore', field(ARGV[7], ARGV[6], subject))
local sliding = tonumber(redis.call('HGET', record, 'sldexp') or '')
local till = expiry
if sliding and sliding > 0 then till = math.min(till, t + math.floor(sliding / 10000)) end
redis.call('PEXPIREAT', record, string.format('%.0f', till))
redis.call('ZADD', index, expiry, key)
redis.call('ZADD', sessions, expiry, key)
settle(index, sessions, subjects, subject, t)
return 'OK'
