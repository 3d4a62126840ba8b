package main

import (
	"cmp"
	"errors"
	"flag"
	"io"
	"os/user"
	"time"
)

// options are what the flags say.
type options struct {
	redis                  string
	cluster                bool
	prefix                 string
	history                time.Duration
	replicas               int
	timeout                time.Duration
	tlsCA, tlsCert, tlsKey string
	json, yes, dryRun      bool
	by                     string
	help                   bool
}

func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("ticketstore", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.redis, "redis", "", "`URL` of Redis: redis:// or, with TLS, rediss://; if empty, the variable REDIS_URL. More nodes: ?addr=HOST:PORT. Sentinel: ?master_name=NAME")
	f.BoolVar(&o.cluster, "cluster", false, "the URL is that of a Redis Cluster")
	f.StringVar(&o.prefix, "prefix", "", "the application's RedisConfig.Prefix, a `TEXT`")
	f.DurationVar(&o.history, "history", 0, "the application's RedisConfig.History, a `DURATION` such as 720h; if zero, what the endings in Redis tell")
	f.IntVar(&o.replicas, "replicas", 0, "the application's RedisConfig.RevokeReplicas, a number `N`")
	f.DurationVar(&o.timeout, "timeout", 2*time.Second, "how long to wait for an answer of Redis, a `DURATION`")
	f.StringVar(&o.tlsCA, "tls-ca", "", "the `FILE` of the certificates, in PEM, that Redis' may be signed by; if empty, those of the system")
	f.StringVar(&o.tlsCert, "tls-cert", "", "the `FILE` of a certificate to show Redis, in PEM")
	f.StringVar(&o.tlsKey, "tls-key", "", "the `FILE` of its key")
	f.BoolVar(&o.json, "json", false, "write JSON: one value, or one a line where there is no end of them")
	f.BoolVar(&o.yes, "yes", false, "end sessions without asking")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would end, and end nothing")
	f.StringVar(&o.by, "by", "", "the `NAME` of who ends sessions, for their endings; if empty, the system's user")
	return f
}

// parse returns the options and the arguments among them.
func parse(args []string, env func(string) string) (*options, []string, error) {
	o := new(options)
	f := o.flags()
	var rest []string
	for {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			o.help = true
			return o, nil, nil
		}
		if err != nil {
			return nil, nil, usageError(err.Error())
		}
		if f.NArg() == 0 {
			break
		}
		if n := len(args) - f.NArg(); n > 0 && args[n-1] == "--" {
			rest = append(rest, f.Args()...)
			break
		}
		rest = append(rest, f.Arg(0))
		args = f.Args()[1:]
	}
	if o.timeout <= 0 {
		return nil, nil, usagef("-timeout %v is not positive", o.timeout)
	}
	o.redis = cmp.Or(o.redis, env("REDIS_URL"))
	if o.by == "" {
		o.by = "unknown"
		if u, err := user.Current(); err == nil {
			o.by = u.Username
		}
	}
	return o, rest, nil
}
