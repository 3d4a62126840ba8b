package main

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/aspnetcore"
)

// A job is one command at work.
type job struct {
	*program
	*options
	client redis.UniversalClient
	store  *ticketstore.RedisStore
	config ticketstore.RedisConfig
}

// open connects a command to the store.
func (p *program) open(ctx context.Context, o *options, c command, args []string) (*job, error) {
	client, err := connect(o)
	if err != nil {
		return nil, err
	}
	j := &job{program: p, options: o, client: client}
	if err := j.begin(ctx, c, args); err != nil {
		client.Close()
		return nil, err
	}
	return j, nil
}

func (j *job) begin(ctx context.Context, c command, args []string) (err error) {
	j.config = ticketstore.RedisConfig{
		Prefix:         j.prefix,
		Serializer:     ticketstore.ReadAlso(ticketstore.JSONSerializer{}, aspnetcore.Serializer{}),
		RevokeReplicas: j.replicas,
		History:        j.history,
	}
	if j.store, err = ticketstore.NewRedisStore(j.client, j.config); err != nil {
		return usageError(err.Error())
	}
	if !c.endings {
		return nil
	}
	subject := ""
	if len(args) > 0 {
		subject = args[0]
	}
	if j.config.History, err = j.remembered(ctx, subject); err != nil {
		if c.name == "check" && !isUsage(err) {
			return nil // which says why
		}
		return err
	}
	j.store, err = ticketstore.NewRedisStore(j.client, j.config)
	return err
}

// cause returns a copy of ctx for calls that end sessions.
func (j *job) cause(ctx context.Context) context.Context {
	return ticketstore.WithCause(ctx, "operator", j.by)
}
