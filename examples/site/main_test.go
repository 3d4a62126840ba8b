package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore/examples/site/demoprovider"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

var opened = regexp.MustCompile(`Open (http://\S+)`)

// start runs the program until the test ends, and returns its URL.
func start(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stdout, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, args, w)
		w.Close()
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("run: got %v, want nil", err)
			}
		case <-time.After(redistest.Patience):
			t.Error("run does not end")
		}
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if m := opened.FindStringSubmatch(lines.Text()); m != nil {
			go io.Copy(io.Discard, stdout)
			return m[1]
		}
	}
	t.Fatal("it does not say where it is")
	return ""
}

// The program as it is, on plain HTTP. On a busy machine Redis does not always
// answer in the time that it gives it: then it says so, and the test tries again.
func TestRun(t *testing.T) {
	for name, args := range map[string][]string{"embedded": nil, "redis": {"-redis"}} {
		t.Run(name, func(t *testing.T) {
			if args != nil {
				if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("CI") != "true" {
					t.Skip("redis-server is not on the PATH")
				}
				args = append(args, "redis://"+redistest.Start(t).Addr)
				start(t, args...) // a second one finds the sessions of the demonstration
			}
			site := start(t, append(args, "-insecure")...)
			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			w := &world{t: t, site: &httptest.Server{URL: site}, users: &users{list: demoUsers}}
			b := &browser{w, &http.Client{Jar: jar, Timeout: redistest.Patience}}
			patient := func(f func() screen) (p screen) {
				for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
					if p = f(); p.status != 503 || time.Since(begin) > redistest.Patience {
						return p
					}
				}
			}
			b.want(patient(func() screen { return b.open("/") }), "/login?ReturnUrl=%2F", 200, demoPassword)
			p := patient(func() screen { return b.open("/login/provider") })
			b.want(patient(func() screen { return b.submit(p, "Who are you?", "user", "olivia") }), "/", 200, "Olivia Berg")
			b.want(patient(func() screen { return b.open("/account/sessions/") }), "/account/sessions/", 200, "This computer")
			b.want(patient(func() screen { return b.open("/operator/?subject=" + id("alice")) }), "/operator/?subject="+id("alice"), 200, "Safari on iPhone")
		})
	}
}

func TestFlags(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, &out); err != nil || !strings.Contains(out.String(), "-redis URL") {
		t.Errorf("-help: got %q, %v, want the flags", out.String(), err)
	}
	for want, args := range map[string][]string{
		"-help lists the flags": {"-no-such-flag"},
		"unexpected argument":   {"redis://127.0.0.1"},
		"-redis":                {"-redis", "127.0.0.1:6379"},
		"Redis at 127.0.0.1:1":  {"-redis", "redis://127.0.0.1:1"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", args, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, nil, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped while it starts: got %v, want that", err)
	}
}

// What the demonstration provider must refuse, or it would not show that the site
// asks for it.
func TestProviderRefuses(t *testing.T) {
	const back = "http://127.0.0.1:2/login/callback"
	p := demoprovider.New(demoprovider.Config{Users: []string{"alice"}, ClientID: "site", ClientSecret: "geheim", RedirectURL: back})
	post := func(target string, form url.Values, secret string) *http.Response {
		r := httptest.NewRequest("POST", target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if secret != "" {
			r.SetBasicAuth("site", secret)
		}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		return w.Result()
	}
	good := url.Values{
		"client_id": {"site"}, "redirect_uri": {back}, "response_type": {"code"}, "state": {"s"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}, // RFC 7636, appendix B
	}
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	authorize := func(q url.Values) (int, url.Values) {
		res := post("/authorize?"+q.Encode(), url.Values{"user": {"alice"}}, "")
		return res.StatusCode, mustParse(res.Header.Get("Location")).Query()
	}
	for name, value := range map[string]string{
		"client_id": "other", "redirect_uri": "http://127.0.0.1:3/", "response_type": "token", "code_challenge_method": "plain", "code_challenge": "",
	} {
		q := url.Values{}
		for k, v := range good {
			q[k] = v
		}
		q.Set(name, value)
		if status, to := authorize(q); status != 400 || to.Has("code") {
			t.Errorf("%s=%s: got %d, want 400", name, value, status)
		}
	}
	for _, tt := range []struct {
		name, secret, redirect, verifier string
		want                             int
	}{
		{"good", "geheim", back, verifier, 200},
		{"wrong secret", "other", back, verifier, 401},
		{"wrong redirect_uri", "geheim", "http://127.0.0.1:3/", verifier, 400},
		{"wrong verifier", "geheim", back, verifier[1:], 400},
	} {
		_, to := authorize(good)
		form := url.Values{"grant_type": {"authorization_code"}, "code": to["code"], "redirect_uri": {tt.redirect}, "code_verifier": {tt.verifier}}
		if got := post("/token", form, tt.secret).StatusCode; got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
		if tt.want == 200 {
			if got := post("/token", form, tt.secret).StatusCode; got != 400 {
				t.Errorf("the code again: got %d, want 400", got)
			}
		}
	}
}
