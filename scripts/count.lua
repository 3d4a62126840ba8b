-- Counts the live sessions of partitions, and their subjects.
-- KEYS censuses: of one partition in a Cluster, of all elsewhere
-- ARGV 1 time, 2 the same + 10^14
-- reply sessions, subjects
local sessions, subjects = 0, 0
for _, census in ipairs(KEYS) do
  local n = redis.call('ZCOUNT', census, '(' .. ARGV[2], '+inf')
  sessions = sessions + redis.call('ZCOUNT', census, '(' .. ARGV[1], '(1e14') + n
  subjects = subjects + n
end
return {sessions, subjects}
