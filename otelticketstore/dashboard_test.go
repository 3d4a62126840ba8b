package otelticketstore_test

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/ticketstore/ticketstore/otelticketstore"
	"github.com/ticketstore/ticketstore/tickettest"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// scrape returns what Prometheus gets from a program that has done everything:
// the names of series, and of labels.
func scrape(t *testing.T) (series, labels []string) {
	t.Helper()
	registry := prometheus.NewRegistry()
	exporter, err := promexporter.New(promexporter.WithRegisterer(registry))
	if err != nil {
		t.Fatal(err)
	}
	store := &brokenStore{RedisStore: tickettest.NewStore(t)}
	m := manager(t, store, otelticketstore.Config{
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)),
		Count:         store.Count,
	})
	everything(t, m)
	alice := login(t, m, "alice")
	store.err = io.ErrUnexpectedEOF
	get(t.Context(), m, alice)

	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if name := regexp.MustCompile(`^[a-z_]+`).FindString(line); name != "" && !slices.Contains(series, name) {
			series = append(series, name)
		}
		for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(line, -1) {
			labels = append(labels, label[1])
		}
	}
	return series, append(labels, "job") // which Prometheus adds
}

var (
	metricName = regexp.MustCompile(`\bticketstore_[a-z_]+`)
	labelName  = regexp.MustCompile(`([a-z_]+)\s*(?:=|!=|=~|!~)\s*"|by \(([a-z_, ]+)\)|\{\{([a-z_]+)\}\}`)
)

// checkNames checks that the program emits what queries name.
func checkNames(t *testing.T, series, labels []string, query string) (names []string) {
	t.Helper()
	for _, label := range labelName.FindAllStringSubmatch(query, -1) {
		for _, name := range strings.Split(label[1]+label[2]+label[3], ", ") {
			if !slices.Contains(labels, name) {
				t.Errorf("%s: there is no label %s", query, name)
			}
		}
	}
	for _, name := range metricName.FindAllString(query, -1) {
		if !slices.Contains(labels, name) && !slices.Contains(series, name) {
			t.Errorf("%s: there is no metric %s in %q", query, name, series)
		}
		names = append(names, name)
	}
	return names
}

// The dashboard asks for what the program emits, by the names that it has in
// Prometheus, and leaves out nothing.
func TestDashboard(t *testing.T) {
	data, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title         string
		SchemaVersion int
		Templating    struct {
			List []struct{ Name, Definition string }
		}
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct {
				RefID, Expr, LegendFormat string
			}
		}
	}
	if err := json.Unmarshal(data, &dashboard); err != nil {
		t.Fatal(err)
	}
	series, labels := scrape(t)
	var used []string
	taken := map[[2]int]string{}
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 || p.Title == "" {
			t.Errorf("panel %d has no title, or asks for nothing", p.ID)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if refs[target.RefID] {
				t.Errorf("%s: two targets are called %s", p.Title, target.RefID)
			}
			refs[target.RefID] = true
			names := checkNames(t, series, labels, target.Expr+" "+target.LegendFormat)
			if len(names) == 0 {
				t.Errorf("%s: %q asks for no metric of ours", p.Title, target.Expr)
			}
			used = append(used, names...)
		}
		g := p.GridPos
		if g.X+g.W > 24 {
			t.Errorf("%s: it is wider than the dashboard", p.Title)
		}
		for x := range g.W {
			for y := range g.H {
				at := [2]int{g.X + x, g.Y + y}
				if other := taken[at]; other != "" {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Definition != "" && len(checkNames(t, series, labels, v.Definition)) == 0 {
			t.Errorf("variable %s: %q asks for no metric of ours", v.Name, v.Definition)
		}
	}
	for _, name := range series {
		if !strings.HasPrefix(name, "ticketstore_") || strings.HasSuffix(name, "_sum") {
			continue
		}
		if !slices.Contains(used, name) {
			t.Errorf("no panel shows %s", name)
		}
	}
	if dashboard.Title == "" || dashboard.SchemaVersion < 36 || len(dashboard.Panels) < 8 {
		t.Errorf("got %q of schema %d with %d panels", dashboard.Title, dashboard.SchemaVersion, len(dashboard.Panels))
	}
}

// The names in the documentation are those that the program emits.
func TestDocumentedNames(t *testing.T) {
	series, labels := scrape(t)
	for _, name := range series { // of a histogram, the name that Prometheus' documentation has
		series = append(series, strings.TrimSuffix(name, "_bucket"))
	}
	for _, file := range []string{"README.md", "../docs/operations.md"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, code := range regexp.MustCompile("`[^`\n]*ticketstore_[^`\n]*`").FindAllString(string(data), -1) {
			found += len(checkNames(t, series, labels, code))
		}
		if found == 0 {
			t.Errorf("%s names no metric in Prometheus", file)
		}
	}
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range series {
		name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_count"), "_sum"), "_bucket")
		if strings.HasPrefix(name, "ticketstore_") && !strings.Contains(string(data), name) {
			t.Errorf("README.md does not name %s", name)
		}
	}
}
