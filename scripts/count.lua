-- Counts the live sessions of a partition, and their subjects.
-- KEYS 1 census
-- ARGV 1 time, 2 the same + 10^14
-- reply sessions, subjects
local subjects = redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[2], '+inf')
return {redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[1], '(1e14') + subjects, subjects}
