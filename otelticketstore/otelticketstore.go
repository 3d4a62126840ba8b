// Package otelticketstore tells OpenTelemetry what a [ticketstore.Manager] has
// done and refused: counts of sessions that began and ended, of renewals and of
// rejected keys, how long the store takes, how many sessions are live, and a
// span for each call to the store. README.md lists the names, and dashboard.json
// is a dashboard for Grafana.
package otelticketstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Config configures New. The zero value is meant for production, but counts no
// live sessions.
type Config struct {
	_ [0]func() // no comparison, no unkeyed literals

	// MeterProvider and TracerProvider get what is measured. If nil, the global
	// ones of package otel.
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider

	// Count counts what is live, as RedisStore.Count does, and is given two
	// seconds. Every process that has it reports the number of all. If nil, or
	// for as long as it fails, there are no such metrics.
	Count func(context.Context) (ticketstore.Counts, error)

	// CountEvery is how often Count is called at most, however often metrics
	// are collected. If zero, once a minute.
	CountEvery time.Duration

	// EndUser puts the subject on spans, as enduser.id: whoever reads traces
	// then sees who did what.
	EndUser bool
}

const (
	scope        = "github.com/ticketstore/ticketstore/otelticketstore"
	countTimeout = 2 * time.Second
)

// New returns an Observer for [ticketstore.Config]. Call it once a process:
// what it registers lives as long as the MeterProvider. Its errors are those of
// the MeterProvider, and of a negative CountEvery.
func New(cfg Config) (func(context.Context, ticketstore.Event), error) {
	if cfg.CountEvery < 0 {
		return nil, fmt.Errorf("otelticketstore: CountEvery: %v is negative", cfg.CountEvery)
	}
	if cfg.CountEvery == 0 {
		cfg.CountEvery = time.Minute
	}
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	o := &observer{tracer: cfg.TracerProvider.Tracer(scope), endUser: cfg.EndUser}
	meter := cfg.MeterProvider.Meter(scope)
	err := o.instruments(meter)
	if cfg.Count != nil {
		l := &live{count: cfg.Count, every: cfg.CountEvery}
		err = errors.Join(err, l.register(meter))
	}
	if err != nil {
		return nil, fmt.Errorf("otelticketstore: %w", err)
	}
	return o.observe, nil
}

type observer struct {
	tracer  trace.Tracer
	endUser bool

	starts, ends, renewals, rotations, rejections metric.Int64Counter
	duration                                      metric.Float64Histogram
}

func (o *observer) instruments(meter metric.Meter) error {
	var errs [6]error
	o.starts, errs[0] = meter.Int64Counter("ticketstore.session.starts",
		metric.WithUnit("{session}"), metric.WithDescription("Sessions that began by a sign-in, or as an impersonation."))
	o.ends, errs[1] = meter.Int64Counter("ticketstore.session.ends",
		metric.WithUnit("{session}"), metric.WithDescription("Sessions that were ended, by cause; not those that expired."))
	o.renewals, errs[2] = meter.Int64Counter("ticketstore.session.renewals",
		metric.WithUnit("{renewal}"), metric.WithDescription("Tickets written anew, by cause."))
	o.rotations, errs[3] = meter.Int64Counter("ticketstore.session.rotations",
		metric.WithUnit("{rotation}"), metric.WithDescription("Sessions that got a new key."))
	o.rejections, errs[4] = meter.Int64Counter("ticketstore.rejections",
		metric.WithUnit("{rejection}"), metric.WithDescription("Keys and cookies that count for nothing, by cause."))
	o.duration, errs[5] = meter.Float64Histogram("ticketstore.call.duration",
		metric.WithUnit("s"), metric.WithDescription("How long calls to the store took."),
		metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
	return errors.Join(errs[:]...)
}

func (o *observer) observe(ctx context.Context, e ticketstore.Event) {
	switch e.Kind {
	case "signed-in", "impersonated":
		o.starts.Add(ctx, 1)
	case "ended":
		o.ends.Add(ctx, int64(e.Sessions), cause(e))
	case "renewed":
		o.renewals.Add(ctx, 1, cause(e))
	case "rotated":
		o.rotations.Add(ctx, 1)
	case "rejected":
		o.rejections.Add(ctx, 1, cause(e))
	case "called":
		o.called(ctx, e)
	}
}

func cause(e ticketstore.Event) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("ticketstore.cause", e.Cause))
}

func (o *observer) called(ctx context.Context, e ticketstore.Event) {
	attrs := []attribute.KeyValue{attribute.String("ticketstore.call", e.Call)}
	if typ := errorType(e); typ != "" {
		attrs = append(attrs, attribute.String("error.type", typ))
	}
	o.duration.Record(ctx, e.Duration.Seconds(), metric.WithAttributes(attrs...))

	if !trace.SpanContextFromContext(ctx).IsValid() {
		return // a trace of this call alone is of no use
	}
	end := time.Now()
	_, span := o.tracer.Start(ctx, "ticketstore."+e.Call, trace.WithTimestamp(end.Add(-e.Duration)), trace.WithAttributes(attrs...))
	if e.SessionID != "" {
		span.SetAttributes(attribute.String("session.id", e.SessionID))
	}
	if o.endUser && e.Subject != "" {
		span.SetAttributes(attribute.String("enduser.id", e.Subject))
	}
	if e.Cause == "failed" {
		span.SetStatus(codes.Error, e.Err.Error())
	}
	span.End(trace.WithTimestamp(end))
}

// errorType returns the attribute error.type of a call, of few values.
func errorType(e ticketstore.Event) string {
	if e.Cause != "failed" {
		return e.Cause
	}
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Err)
	if ok && timeout.Timeout() {
		return "timeout"
	}
	return "_OTHER"
}

// live counts live sessions and users now and then.
type live struct {
	count func(context.Context) (ticketstore.Counts, error)
	every time.Duration

	mu     sync.Mutex
	asked  time.Time
	counts ticketstore.Counts
	known  bool
}

func (l *live) register(meter metric.Meter) error {
	sessions, err := meter.Int64ObservableGauge("ticketstore.session.count",
		metric.WithUnit("{session}"), metric.WithDescription("Sessions that are live, of all processes."))
	users, err2 := meter.Int64ObservableGauge("ticketstore.user.count",
		metric.WithUnit("{user}"), metric.WithDescription("Users who are signed in, of all processes."))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	_, err = meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		counts, ok, err := l.now(ctx)
		if ok {
			o.ObserveInt64(sessions, counts.Sessions)
			o.ObserveInt64(users, counts.Subjects)
		}
		return err
	}, sessions, users)
	return err
}

// now returns what is known of the last time that counting was due. The error is
// told once.
func (l *live) now(ctx context.Context) (counts ticketstore.Counts, ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := clock.Now(ctx)
	if l.asked.IsZero() || now.Sub(l.asked).Abs() >= l.every { // Abs: the clock may have been set back
		ctx, cancel := context.WithTimeout(ctx, countTimeout)
		defer cancel()
		l.counts, err = l.count(ctx)
		l.asked, l.known = now, err == nil
	}
	return l.counts, l.known, err
}
