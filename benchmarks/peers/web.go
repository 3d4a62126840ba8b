package main

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// A web is an app of net/http.
type web [list]http.Handler

func (h web) prepare(o operation, user, cookie string) any {
	r := &http.Request{
		Method:     "GET",
		URL:        &url.URL{Path: "/"},
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     http.Header{userHeader: {user}, "User-Agent": {userAgent}, "Accept": {"text/html"}},
		Body:       http.NoBody,
		Host:       "www.example.com",
		RemoteAddr: "198.18.0.1:40000",
		RequestURI: "/",
	}
	if o != request {
		r.Method = "POST"
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	return webRequest{h[o], r}
}

type webRequest struct {
	handler http.Handler
	request *http.Request
}

// caller makes each request with a copy of its own, as gorilla/sessions puts
// things into it.
func (h web) caller(ctx context.Context) func(any) answer {
	w := &writer{header: http.Header{}}
	return func(prepared any) answer {
		p := prepared.(webRequest)
		clear(w.header)
		w.status, w.body = http.StatusOK, w.body[:0]
		p.handler.ServeHTTP(w, p.request.WithContext(ctx))
		a := answer{status: w.status, body: w.body}
		if set := w.header["Set-Cookie"]; len(set) > 0 {
			a.cookie, _, _ = strings.Cut(set[len(set)-1], ";")
		}
		return a
	}
}

// A writer keeps an answer.
type writer struct {
	header http.Header
	status int
	body   []byte
}

func (w *writer) Header() http.Header    { return w.header }
func (w *writer) WriteHeader(status int) { w.status = status }

func (w *writer) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}

func (w *writer) WriteString(s string) (int, error) {
	w.body = append(w.body, s...)
	return len(s), nil
}

// greet answers with the user of a session.
func greet(w http.ResponseWriter, user string) {
	if user == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	io.WriteString(w, user)
}
