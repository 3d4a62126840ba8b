// Package ticketfiber guards fiber's routes with a ticketstore.Manager. Copy
// its one file, or import it.
//
// Fiber stands on fasthttp, which has no http.Request and no
// http.ResponseWriter. A Manager needs little of either: the head of the
// request, and a place for headers and perhaps a short answer.
package ticketfiber

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v3"
)

// Middleware makes fiber's middleware of a Manager's Wrap or Require. What
// does not reach next ends here, and its answer is sent.
//
// Handlers find the ticket with ticketstore.FromContext(c.Context()); c itself
// is no context that has it. A stream writer runs when c is gone: get the
// ticket before.
func Middleware(mw func(http.Handler) http.Handler) fiber.Handler {
	return func(c fiber.Ctx) error {
		var passed *http.Request
		err := Do(c, func(w http.ResponseWriter, r *http.Request) error {
			mw(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				passed = r
			})).ServeHTTP(w, r)
			return nil
		})
		if err != nil || passed == nil {
			return err
		}
		c.SetContext(passed.Context())
		return c.Next()
	}
}

// Do calls f with c's request and response as net/http has them, and returns
// its error. It is for SignIn, SignOut, Rotate, Renew and ReturnURL:
//
//	err := ticketfiber.Do(c, func(w http.ResponseWriter, r *http.Request) error {
//		return m.SignIn(w, r, ticket)
//	})
//
// w has the headers that the response has already, but for Content-Type, and
// keeps what is written until f returns: it is not for streaming.
func Do(c fiber.Ctx, f func(w http.ResponseWriter, r *http.Request) error) error {
	r, err := request(c)
	if err != nil {
		return fiber.ErrBadRequest // net/http would have refused it as well
	}
	before := headers(c)
	w := &response{header: before.Clone()}
	err = f(w, r)
	w.send(c, before)
	return err
}

// request returns c's request. It shares no memory with c but the body, which
// it has if fiber has read it.
func request(c fiber.Ctx) (*http.Request, error) {
	in := c.Request()
	uri := string(in.Header.RequestURI())
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		return nil, err
	}
	r := (&http.Request{
		Method:     strings.Clone(c.Method()),
		URL:        u,
		RequestURI: uri,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Host:       string(in.Host()),
		Header:     http.Header{},
		Body:       http.NoBody,
		RemoteAddr: c.RequestCtx().RemoteAddr().String(),
		TLS:        c.RequestCtx().TLSConnectionState(),
	}).WithContext(c.Context())
	for k, v := range in.Header.All() {
		r.Header.Add(string(k), string(v))
	}
	if !in.IsBodyStream() {
		r.Body = io.NopCloser(bytes.NewReader(in.Body()))
		r.ContentLength = int64(len(in.Body()))
	}
	return r, nil
}

// headers returns the headers of c's response. Its Content-Type is left out:
// fasthttp has one before anybody sets one.
func headers(c fiber.Ctx) http.Header {
	h := http.Header{}
	for k, v := range c.Response().Header.All() {
		h.Add(string(k), string(v))
	}
	h.Del("Content-Type")
	return h
}

// A response is an http.ResponseWriter that keeps what is written.
type response struct {
	header http.Header
	status int // 0 if nothing is written
	body   bytes.Buffer
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// As in net/http: fasthttp's Add would send them.
var newlines = strings.NewReplacer("\r", " ", "\n", " ")

// send puts w on c's response: the headers that differ from before and, if
// anything is written, status and body.
func (w *response) send(c fiber.Ctx, before http.Header) {
	out := c.Response()
	changed := maps.Clone(before)
	maps.Copy(changed, w.header)
	maps.DeleteFunc(changed, func(k string, _ []string) bool { return slices.Equal(w.header[k], before[k]) })
	for k := range changed {
		out.Header.Del(k)
	}
	for k := range changed { // after every Del, which reorders
		for _, v := range w.header[k] {
			out.Header.Add(k, newlines.Replace(v))
		}
	}
	if w.status != 0 {
		out.SetStatusCode(w.status)
		out.SetBody(w.body.Bytes())
	}
}
