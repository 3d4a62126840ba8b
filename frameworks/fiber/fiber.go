// Package ticketfiber guards fiber's routes with a ticketstore.Manager. Copy
// its one file, or import it.
//
// Fiber stands on fasthttp, which has no http.Request and no
// http.ResponseWriter. A Manager needs little of either: the head of the
// request, and a place for headers and perhaps a short answer.
package ticketfiber

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
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

// request returns c's request as net/http would have read it. fasthttp reads
// another: for it "Cookie: =a=b" is a cookie called a, and of two User-Agents
// the last one counts. It shares no memory with c but the body, which it has if
// fiber has read it.
func request(c fiber.Ctx) (*http.Request, error) {
	in := c.Request()
	head := fmt.Appendf(nil, "%s %s HTTP/1.1\r\n", c.Method(), in.Header.RequestURI())
	if raw := in.Header.RawHeaders(); len(raw) > 0 {
		head = append(head, raw...)
	} else {
		head = append(head, "\r\n"...)
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return nil, err
	}
	for k := range r.Header {
		if strings.Contains(k, " ") { // ReadRequest leaves it to the server to refuse
			return nil, fmt.Errorf("invalid header name %q", k)
		}
	}
	if err := applyChanges(r, head, &in.Header); err != nil {
		return nil, err
	}
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
	if !in.IsBodyStream() {
		r.Body = io.NopCloser(bytes.NewReader(in.Body()))
		r.ContentLength = int64(len(in.Body()))
	}
	r.RemoteAddr = c.RequestCtx().RemoteAddr().String()
	r.TLS = c.RequestCtx().TLSConnectionState()
	return r.WithContext(c.Context()), nil
}

// applyChanges makes those changes to r, which was read from head, that other
// handlers have made to it since in fasthttp's form, now.
func applyChanges(r *http.Request, head []byte, now *fasthttp.RequestHeader) error {
	var then fasthttp.RequestHeader
	if err := then.Read(bufio.NewReaderSize(bytes.NewReader(head), len(head))); err != nil {
		return err
	}
	before, after := fields(&then), fields(now)
	changed := maps.Clone(before)
	maps.Copy(changed, after)
	maps.DeleteFunc(changed, func(k string, _ []string) bool { return slices.Equal(before[k], after[k]) })
	for k := range changed {
		switch {
		case k == "Host":
			r.Host = after.Get(k)
		case k == "Content-Length" || k == "Transfer-Encoding" || k == "Trailer":
			// fasthttp's own doing, when it has read the body.
		case after[k] == nil:
			r.Header.Del(k)
		default:
			r.Header[k] = after[k]
		}
	}
	return nil
}

func fields(h *fasthttp.RequestHeader) http.Header {
	f := http.Header{}
	for k, v := range h.All() {
		f.Add(string(k), string(v))
	}
	f.Del("Cookie")
	for k, v := range h.Cookies() {
		f.Add("Cookie", string(k)+"="+string(v)) // with =, even if there is no name
	}
	return f
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
