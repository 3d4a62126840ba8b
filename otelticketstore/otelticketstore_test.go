package otelticketstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/otelticketstore"
	"github.com/ticketstore/ticketstore/tickettest"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A site is a program whose sessions are observed by the real SDK.
type site struct {
	store   *brokenStore
	manager *ticketstore.Manager
	metrics *sdkmetric.ManualReader
	spans   *tracetest.InMemoryExporter
	tracer  *sdktrace.TracerProvider
}

// brokenStore fails once err is set.
type brokenStore struct {
	*ticketstore.RedisStore
	err error
}

func (s *brokenStore) Retrieve(ctx context.Context, key ticketstore.Key) (*ticketstore.Ticket, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.RedisStore.Retrieve(ctx, key)
}

func newSite(t *testing.T, cfg otelticketstore.Config) *site {
	t.Helper()
	s := &site{
		store:   &brokenStore{RedisStore: tickettest.NewStore(t)},
		metrics: sdkmetric.NewManualReader(),
		spans:   tracetest.NewInMemoryExporter(),
	}
	s.tracer = sdktrace.NewTracerProvider(sdktrace.WithSyncer(s.spans))
	cfg.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.metrics))
	cfg.TracerProvider = s.tracer
	s.manager = manager(t, s.store, cfg)
	return s
}

func manager(t *testing.T, store ticketstore.TicketStore, cfg otelticketstore.Config) *ticketstore.Manager {
	t.Helper()
	observe, err := otelticketstore.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ticketstore.NewManager(store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: bytes.Repeat([]byte("h"), 32)}},
		Observer:   observe,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// login signs user in and returns the cookie.
func login(t *testing.T, m *ticketstore.Manager, user string, cookies ...*http.Cookie) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	if err := m.SignIn(w, request(t.Context(), cookies...), ticketstore.NewTicket(user)); err != nil {
		t.Fatal(err)
	}
	return w.Result().Cookies()[0]
}

func request(ctx context.Context, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

func get(ctx context.Context, m *ticketstore.Manager, cookies ...*http.Cookie) {
	m.Wrap(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), request(ctx, cookies...))
}

// everything does what there is a metric for.
func everything(t *testing.T, m *ticketstore.Manager) {
	t.Helper()
	alice := login(t, m, "alice")
	alice = login(t, m, "alice", alice)
	get(t.Context(), m, alice)
	w := httptest.NewRecorder()
	if _, err := m.Rotate(w, request(t.Context(), alice), nil); err != nil {
		t.Fatal(err)
	}
	alice = w.Result().Cookies()[0]
	_, err := m.Renew(request(t.Context(), alice), func(t *ticketstore.Ticket) error { t.Scheme = "x"; return nil })
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		login(t, m, "bob")
	}
	if _, err := m.RevokeAll(httptest.NewRecorder(), request(t.Context(), login(t, m, "bob"))); err != nil {
		t.Fatal(err)
	}
	if err := m.SignOut(httptest.NewRecorder(), request(t.Context(), alice)); err != nil {
		t.Fatal(err)
	}
	get(t.Context(), m, alice)
	alice.Value += "x"
	get(t.Context(), m, alice)
}

// collect returns the metrics as lines, with their units, and histograms by how
// many values they have.
func (s *site) collect(t *testing.T, ctx context.Context) []string {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := s.metrics.Collect(ctx, &rm); err != nil && !errors.Is(err, errCount) {
		t.Fatal(err)
	}
	var lines []string
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			add := func(set attribute.Set, value any) {
				lines = append(lines, fmt.Sprintf("%s %s [%s] %v", m.Name, m.Unit, set.Encoded(attribute.DefaultEncoder()), value))
			}
			if m.Description == "" {
				t.Errorf("%s has no description", m.Name)
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					add(p.Attributes, p.Count)
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func TestMetrics(t *testing.T) {
	s := newSite(t, otelticketstore.Config{})
	everything(t, s.manager)
	alice := login(t, s.manager, "alice")
	s.store.err = fmt.Errorf("redis: %w", context.DeadlineExceeded)
	get(t.Context(), s.manager, alice)
	s.store.err = errors.New("refused")
	get(t.Context(), s.manager, alice)
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	get(gone, s.manager, alice)

	want := []string{
		"ticketstore.call.duration s [error.type=_OTHER,ticketstore.call=Retrieve] 1",
		"ticketstore.call.duration s [error.type=abandoned,ticketstore.call=Retrieve] 1",
		"ticketstore.call.duration s [error.type=timeout,ticketstore.call=Retrieve] 1",
		"ticketstore.call.duration s [ticketstore.call=Remove] 2",
		"ticketstore.call.duration s [ticketstore.call=Renew] 1",
		"ticketstore.call.duration s [ticketstore.call=Retrieve] 9",
		"ticketstore.call.duration s [ticketstore.call=RevokeAll] 1",
		"ticketstore.call.duration s [ticketstore.call=Rotate] 1",
		"ticketstore.call.duration s [ticketstore.call=Store] 7",
		"ticketstore.rejections {rejection} [ticketstore.cause=forged] 1",
		"ticketstore.rejections {rejection} [ticketstore.cause=unknown] 1",
		"ticketstore.session.ends {session} [ticketstore.cause=replaced] 1",
		"ticketstore.session.ends {session} [ticketstore.cause=revoked] 4",
		"ticketstore.session.ends {session} [ticketstore.cause=signed-out] 1",
		"ticketstore.session.renewals {renewal} [ticketstore.cause=changed] 1",
		"ticketstore.session.rotations {rotation} [] 1",
		"ticketstore.session.starts {session} [] 7",
	}
	if got := s.collect(t, t.Context()); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var errCount = errors.New("no count")

// The gauges ask at most so often, and have no value while that fails.
func TestGauges(t *testing.T) {
	var asked int
	var fail error
	count := func(ctx context.Context) (ticketstore.Counts, error) {
		asked++
		if _, ok := ctx.Deadline(); !ok {
			t.Error("Count got no deadline")
		}
		return ticketstore.Counts{Subjects: 2, Sessions: int64(asked)}, fail
	}
	s := newSite(t, otelticketstore.Config{Count: count, CountEvery: time.Hour})
	at := time.Unix(1e9, 0)
	ctx := clock.NewContext(t.Context(), func() time.Time { return at })
	want := func(step string, wantAsked int, want ...string) {
		t.Helper()
		if got := s.collect(t, ctx); !slices.Equal(got, want) || asked != wantAsked {
			t.Errorf("%s: got %q after %d calls, want %q after %d", step, got, asked, want, wantAsked)
		}
	}
	users := "ticketstore.user.count {user} [] 2"
	want("at first", 1, "ticketstore.session.count {session} [] 1", users)
	at = at.Add(time.Hour - 1)
	want("within the hour", 1, "ticketstore.session.count {session} [] 1", users)
	at = at.Add(1)
	want("after it", 2, "ticketstore.session.count {session} [] 2", users)
	fail = errCount
	at = at.Add(time.Hour)
	want("failing", 3)
	fail = nil
	want("right after it", 3)
	at = at.Add(time.Hour)
	want("after an hour more", 4, "ticketstore.session.count {session} [] 4", users)
}

func TestGaugesOfAStore(t *testing.T) {
	store := tickettest.NewStore(t)
	s := newSite(t, otelticketstore.Config{Count: store.Count})
	for _, user := range []string{"alice", "alice", "bob"} {
		tk := ticketstore.NewTicket(user)
		tk.ExpiresAt = time.Now().Add(time.Hour)
		if _, err := store.Store(t.Context(), tk); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"ticketstore.session.count {session} [] 3", "ticketstore.user.count {user} [] 2"}
	if got := s.collect(t, t.Context()); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Within a trace, each call to the store is a span of it; else there is none.
func TestSpans(t *testing.T) {
	for _, endUser := range []bool{false, true} {
		s := newSite(t, otelticketstore.Config{EndUser: endUser})
		alice := login(t, s.manager, "alice")
		if spans := s.spans.GetSpans(); len(spans) > 0 {
			t.Fatalf("outside of a trace: got %v, want no spans", spans)
		}
		tk, err := s.manager.Resolve(request(t.Context(), alice))
		if err != nil {
			t.Fatal(err)
		}
		ctx, parent := s.tracer.Tracer("test").Start(t.Context(), "GET /")
		before := time.Now()
		get(ctx, s.manager, alice)
		after := time.Now()
		s.store.err = errors.New("refused")
		get(ctx, s.manager, alice)
		gone, hangUp := context.WithCancel(ctx)
		hangUp()
		get(gone, s.manager, alice)
		parent.End()

		spans := s.spans.GetSpans()
		if len(spans) != 4 {
			t.Fatalf("got %d spans, want 4: %v", len(spans), spans)
		}
		for i, want := range []struct {
			attrs  map[string]string
			status codes.Code
		}{
			{map[string]string{"ticketstore.call": "Retrieve", "session.id": tk.ID, "enduser.id": "alice"}, codes.Unset},
			{map[string]string{"ticketstore.call": "Retrieve", "session.id": tk.ID, "error.type": "_OTHER"}, codes.Error},
			{map[string]string{"ticketstore.call": "Retrieve", "session.id": tk.ID, "error.type": "abandoned"}, codes.Unset},
		} {
			got := map[string]string{}
			for _, a := range spans[i].Attributes {
				got[string(a.Key)] = a.Value.AsString()
			}
			if !endUser {
				delete(want.attrs, "enduser.id")
			}
			if !maps.Equal(got, want.attrs) || spans[i].Status.Code != want.status || spans[i].Name != "ticketstore.Retrieve" {
				t.Errorf("got %s %v, %v, want %v, %v", spans[i].Name, got, spans[i].Status, want.attrs, want.status)
			}
			if spans[i].Parent.SpanID() != parent.SpanContext().SpanID() {
				t.Errorf("got the parent %v", spans[i].Parent)
			}
		}
		if start, end := spans[0].StartTime, spans[0].EndTime; start.Before(before) || !end.After(start) || end.After(after) {
			t.Errorf("got from %v to %v, want a time between %v and %v", start, end, before, after)
		}
	}
}

// What names a user or a session is in no metric: each would be a series.
func TestMetricsNameNobody(t *testing.T) {
	s := newSite(t, otelticketstore.Config{EndUser: true})
	everything(t, s.manager)
	for _, line := range s.collect(t, t.Context()) {
		if strings.Contains(line, "alice") || strings.Contains(line, "session.id") || strings.Contains(line, "enduser") {
			t.Errorf("got %s", line)
		}
	}
}

// Requests observe, and several readers collect, all at once.
func TestInParallel(t *testing.T) {
	readers := []*site{{metrics: sdkmetric.NewManualReader()}, {metrics: sdkmetric.NewManualReader()}}
	counted := 0 // by one at a time
	m := manager(t, tickettest.NewStore(t), otelticketstore.Config{
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(readers[0].metrics), sdkmetric.WithReader(readers[1].metrics)),
		Count: func(context.Context) (ticketstore.Counts, error) {
			counted++
			return ticketstore.Counts{}, nil
		},
		CountEvery: 1,
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			get(t.Context(), m, login(t, m, fmt.Sprint(i)))
			for range 50 {
				readers[i%2].collect(t, t.Context())
			}
		})
	}
	wg.Wait()
	for _, r := range readers {
		if got, want := r.collect(t, t.Context()), "ticketstore.session.starts {session} [] 8"; !slices.Contains(got, want) {
			t.Errorf("got %q, want %s", got, want)
		}
	}
}

func TestNew(t *testing.T) {
	if _, err := otelticketstore.New(otelticketstore.Config{CountEvery: -1}); err == nil || !strings.Contains(err.Error(), "CountEvery") {
		t.Errorf("got %v, want an error about CountEvery", err)
	}
	reader := sdkmetric.NewManualReader()
	before := otel.GetMeterProvider()
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	defer otel.SetMeterProvider(before)
	observe, err := otelticketstore.New(otelticketstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	observe(t.Context(), ticketstore.Event{Kind: "signed-in"})
	observe(t.Context(), ticketstore.Event{Kind: "of a later release"})
	got := (&site{metrics: reader}).collect(t, t.Context())
	if want := []string{"ticketstore.session.starts {session} [] 1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
