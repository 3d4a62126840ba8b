package ticketstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
)

// maxKeys bounds the keys read for one request, and so what a request with
// many cookies of our name costs the store.
const maxKeys = 16

// A CookieKey signs cookies and, with Block, encrypts them. Make one with
//
//	openssl rand -base64 32
//
// and keep it where the application's other secrets are: if it is made anew at
// each start, each start signs everyone out.
type CookieKey struct {
	Hash  []byte // at least 32 bytes, for HMAC-SHA256
	Block []byte // none, or 16, 24 or 32 bytes, for AES
}

var (
	_ fmt.Formatter  = CookieKey{}
	_ slog.LogValuer = CookieKey{}
)

// Format implements [fmt.Formatter]. It does not reveal the key.
func (CookieKey) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer]. It does not reveal the key.
func (CookieKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler]. It does not reveal the key.
func (CookieKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// A CookieCodec turns keys into cookie values and back. It decides whether a
// cookie is ours; the store, whether its key is alive.
type CookieCodec interface {
	// Encode returns the value of the cookie called name.
	Encode(ctx context.Context, name string, key Key) (value string, err error)

	// Decode returns the keys in cookies, those of a request, preferred first.
	// Cookies of other names may hold parts of one. What is malformed or
	// forged is left out without an error: with no keys the request is
	// anonymous, as it is with more than 16 distinct ones; beyond these Decode
	// need not look. An error means that the codec could not answer, and the
	// request gets 503.
	Decode(ctx context.Context, name string, cookies []*http.Cookie) ([]Key, error)
}

// secureCodec is the CookieCodec of CookieKeys.
type secureCodec []*securecookie.SecureCookie

func newSecureCodec(keys []CookieKey) secureCodec {
	var codec secureCodec
	for _, k := range keys {
		var block []byte // New tells nil from empty
		if len(k.Block) > 0 {
			block = slices.Clone(k.Block)
		}
		// The store decides how old a key may be; securecookie's own limit of
		// 30 days would end longer sessions.
		codec = append(codec, securecookie.New(slices.Clone(k.Hash), block).
			MaxAge(0).MaxLength(512).SetSerializer(keySerializer{}))
	}
	return codec
}

// Encode implements [CookieCodec].
func (c secureCodec) Encode(_ context.Context, name string, key Key) (string, error) {
	return c[0].Encode(name, key)
}

// keySerializer is securecookie's for a Key, which is text already.
type keySerializer struct{}

func (keySerializer) Serialize(src any) ([]byte, error) { return []byte(src.(Key)), nil }

func (keySerializer) Deserialize(src []byte, dst any) error {
	*dst.(*Key) = Key(src)
	return nil
}

// Decode implements [CookieCodec]. The order is the browser's: longest path
// first (RFC 6265, section 5.4).
func (c secureCodec) Decode(_ context.Context, name string, cookies []*http.Cookie) ([]Key, error) {
	var keys []Key
	for _, cookie := range cookies {
		if cookie.Name != name {
			continue
		}
		n := len(keys)
		if n > maxKeys {
			break
		}
		keys = append(keys, "")
		signed := slices.ContainsFunc(c, func(sc *securecookie.SecureCookie) bool {
			return sc.Decode(name, cookie.Value, &keys[n]) == nil
		})
		if !signed || slices.Contains(keys[:n], keys[n]) {
			keys = keys[:n]
		}
	}
	return keys, nil
}

func (m *Manager) decode(ctx context.Context, name string, cookies []*http.Cookie) ([]Key, error) {
	if _, ours := m.cfg.Codec.(secureCodec); ours { // which never waits
		return m.cfg.Codec.Decode(ctx, name, cookies)
	}
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	began := m.start()
	keys, err := m.cfg.Codec.Decode(ctx, name, cookies)
	m.called(ctx, began, Event{Call: "Decode", Err: err})
	return keys, err
}

func (m *Manager) cookieValue(r *http.Request, name string, key Key) (string, error) {
	ctx, cancel := m.storeContext(r.Context())
	defer cancel()
	began := m.start()
	value, err := m.cfg.Codec.Encode(ctx, name, key)
	if _, ours := m.cfg.Codec.(secureCodec); !ours {
		m.called(ctx, began, Event{Call: "Encode", Err: err})
	}
	if err != nil {
		return "", fmt.Errorf("ticketstore: cookie: %w", err)
	}
	return value, nil
}

func validateCookieKeys(keys []CookieKey) error {
	var errs []error
	for i, k := range keys {
		if len(k.Hash) < 32 {
			errs = append(errs, fmt.Errorf("CookieKeys[%d].Hash: it has %d bytes; at least 32 are needed (openssl rand -base64 32, decoded)", i, len(k.Hash)))
		}
		if i > 0 && slices.ContainsFunc(keys[:i], func(o CookieKey) bool { return bytes.Equal(o.Hash, k.Hash) }) {
			errs = append(errs, fmt.Errorf("CookieKeys[%d].Hash: an earlier one is the same; also a new Block needs a new Hash", i))
		}
		switch len(k.Block) {
		case 0, 16, 24, 32:
		default:
			errs = append(errs, fmt.Errorf("CookieKeys[%d].Block: it has %d bytes; want none, 16, 24 or 32", i, len(k.Block)))
		}
	}
	return errors.Join(errs...)
}

// maxAge returns how many seconds the cookie of t lasts; 0 until the browser
// ends.
func (m *Manager) maxAge(r *http.Request, t *Ticket) int {
	if !t.Persistent {
		return 0
	}
	left := maxCookieAge
	if end := m.end(t); !end.IsZero() {
		left = min(left, end.Sub(m.now(r.Context())))
	}
	return max(1, int((left+time.Second-1)/time.Second))
}

// writeCookie sets the cookie called name in place of one that w sets already.
// RFC 6265, section 4.1.1: one per name.
func (m *Manager) writeCookie(w http.ResponseWriter, name, value string, maxAge int) {
	h := w.Header()
	lines := h["Set-Cookie"]
	h.Del("Set-Cookie")
	for _, line := range lines {
		if !strings.HasPrefix(line, name+"=") {
			h.Add("Set-Cookie", line)
		}
	}
	http.SetCookie(w, &http.Cookie{
		Name:        name,
		Value:       value,
		Domain:      m.cfg.CookieDomain,
		Path:        m.cfg.CookiePath,
		MaxAge:      maxAge,
		Secure:      !m.cfg.DangerouslyAllowInsecureCookie,
		HttpOnly:    true,
		SameSite:    m.cfg.SameSite,
		Partitioned: m.cfg.Partitioned,
	})
	h.Set("Cache-Control", "no-store")
}
