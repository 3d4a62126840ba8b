package ticketstore

// ReadTogether has s, which reads in batches, read even a single record so.
func (s *RedisStore) ReadTogether() { s.batcher.together = true }
