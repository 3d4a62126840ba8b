package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"os"

	"github.com/redis/go-redis/v9"
)

// errURL does not say what is wrong: that may be a part of the password.
var errURL = usageError("-redis or REDIS_URL has to be the URL of a Redis, such as redis://127.0.0.1:6379 or rediss://user:password@redis.example:6379/0, " +
	"where / : @ ? # and % in a password are percent-encoded")

// connect returns a client, which does not contact Redis yet.
func connect(o *options) (redis.UniversalClient, error) {
	u, err := url.Parse(o.redis)
	if err != nil || o.redis == "" {
		return nil, errURL
	}
	config, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	switch {
	case config != nil && u.Scheme != "rediss":
		return nil, usagef("-tls-ca, -tls-cert and -tls-key need a URL with rediss://")
	case o.cluster:
		opt, err := redis.ParseClusterURL(o.redis)
		if err != nil {
			return nil, errURL
		}
		opt.TLSConfig = trusting(opt.TLSConfig, config)
		opt.ContextTimeoutEnabled, opt.MaxRetries, opt.DialerRetries = true, 1, 1
		opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = o.timeout, o.timeout, o.timeout
		return redis.NewClusterClient(opt), nil
	case u.Query().Has("master_name"):
		opt, err := redis.ParseFailoverURL(o.redis)
		if err != nil {
			return nil, errURL
		}
		opt.TLSConfig = trusting(opt.TLSConfig, config)
		opt.ContextTimeoutEnabled, opt.MaxRetries, opt.DialerRetries = true, 1, 1
		opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = o.timeout, o.timeout, o.timeout
		return redis.NewFailoverClient(opt), nil
	}
	opt, err := redis.ParseURL(o.redis)
	if err != nil {
		return nil, errURL
	}
	opt.TLSConfig = trusting(opt.TLSConfig, config)
	opt.ContextTimeoutEnabled, opt.MaxRetries, opt.DialerRetries = true, 1, 1
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = o.timeout, o.timeout, o.timeout
	return redis.NewClient(opt), nil
}

// tlsConfig returns what the flags say of TLS, nil if nothing.
func tlsConfig(o *options) (*tls.Config, error) {
	if o.tlsCA == "" && o.tlsCert == "" && o.tlsKey == "" {
		return nil, nil
	}
	config := new(tls.Config)
	if o.tlsCA != "" {
		pem, err := os.ReadFile(o.tlsCA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("-tls-ca: there is no certificate in that file")
		}
	}
	if o.tlsCert != "" || o.tlsKey != "" {
		cert, err := tls.LoadX509KeyPair(o.tlsCert, o.tlsKey)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

// trusting returns c, that of a URL, with what the flags say.
func trusting(c, flags *tls.Config) *tls.Config {
	if c != nil && flags != nil {
		c.RootCAs, c.Certificates = flags.RootCAs, flags.Certificates
	}
	return c
}
