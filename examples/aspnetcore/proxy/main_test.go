package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func named(t *testing.T, name string) (url string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, name+" "+r.Host) }))
	t.Cleanup(s.Close)
	return s.URL
}

// One origin of two services, on another port if 8080 is taken.
func TestProxy(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.1:8080"); err == nil { // else somebody has it
		defer l.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	stdout, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-aspnetcore", named(t, "dotnet"), "-service", named(t, "go")}, w)
		w.Close()
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "Open ")
	if !ok || strings.HasSuffix(url, ":8080") {
		t.Fatalf("got %q, %v, want the address, and a port that is free", line, err)
	}
	for path, want := range map[string]string{"/": "dotnet", "/go/": "go", "/gone": "dotnet"} {
		res, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if want += " " + strings.TrimPrefix(url, "http://"); string(body) != want {
			t.Errorf("%s: got %q, %v, want %q", path, body, err, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: got %v, want nil", err)
	}
}
