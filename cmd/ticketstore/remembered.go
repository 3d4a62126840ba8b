package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// rememberedScript returns for how many ms the endings of a partition are
// remembered, 0 if there are none: the stream of them expires that long after
// its last entry.
const rememberedScript = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local clock, info = redis.call('TIME'), redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then
    local last = tonumber(string.match(info[i + 1], '^%d+'))
    return clock[1] * 1000 + math.floor(clock[2] / 1000) + redis.call('PTTL', KEYS[1]) - last
  end
end
return 0`

// remembered returns the application's RedisConfig.History: what -history says,
// or what Redis tells of it. With a shorter one, ending a session would make
// Redis forget older endings; with none, nobody would be told. subject is whose
// sessions are to end, empty for everybody's.
func (j *job) remembered(ctx context.Context, subject string) (time.Duration, error) {
	pipe := j.client.Pipeline()
	var cmds []*redis.Cmd
	for p := range 256 {
		cmds = append(cmds, pipe.Eval(ctx, rememberedScript, []string{j.tag(byte(p)) + "ended"}))
	}
	if _, err := pipe.Exec(ctx); err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return 0, err
	}
	var ms int64
	for _, cmd := range cmds {
		found, _ := cmd.Int64() // something else has the key
		ms = max(ms, found)
	}
	told := (time.Duration(ms) * time.Millisecond).Round(time.Second)
	switch {
	case told > 0 && j.history == 0:
		return told, nil
	case told > j.history:
		return 0, usagef("endings are remembered for %v in that Redis, longer than -history %v: it would forget some", told, j.history)
	case j.history > 0:
		return j.history, nil
	}
	begun, err := j.begun(ctx, subject)
	if err == nil && begun {
		err = usagef("the application has a RedisConfig.History, but no ending is remembered that would tell which: give it by -history")
	}
	return 0, err
}

// begun reports whether it is noted how a session of subject, or of somebody,
// began, for when it ends.
func (j *job) begun(ctx context.Context, subject string) (bool, error) {
	subjects := []string{subject}
	if subject == "" {
		page, _, err := j.store.SessionPage(ctx, "", 100)
		if err != nil {
			return false, err
		}
		subjects = nil
		for _, sess := range page {
			subjects = append(subjects, sess.Subject)
		}
	}
	pipe := j.client.Pipeline()
	var cmds []*redis.IntCmd
	for _, subject := range subjects {
		cmds = append(cmds, pipe.Exists(ctx, j.tag(sha256.Sum256([]byte(subject))[0])+"begun:"+subject))
	}
	if len(cmds) == 0 {
		return false, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return false, err
	}
	for _, cmd := range cmds {
		if cmd.Val() > 0 {
			return true, nil
		}
	}
	return false, nil
}

// tag returns how the keys of a partition begin.
func (j *job) tag(partition byte) string {
	return fmt.Sprintf("%s{%02x}", cmp.Or(j.prefix, "AuthSessionStore-"), partition)
}

func isUsage(err error) bool {
	_, ok := errors.AsType[usageError](err)
	return ok
}
