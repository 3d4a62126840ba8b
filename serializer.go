package ticketstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

// A Serializer turns tickets into bytes and back. It is safe for concurrent
// use.
type Serializer interface {
	// Serialize returns t as bytes. ID and Revision need not be among them:
	// the store keeps those. Nor need the Subject be for a RedisStore; another
	// store has to keep it, or to refuse a Serializer that leaves it out. It
	// returns ErrInvalidTicket for a ticket that it could not give back as it
	// is.
	Serialize(t *Ticket) ([]byte, error)

	// Deserialize returns the ticket in data, which is whatever the store
	// holds under the session ID id. It returns ErrUndecodable, rather than a
	// guess, for what it did not write. It keeps none of data. It need not be
	// called again for bytes that it has read before.
	Deserialize(id string, data []byte) (*Ticket, error)
}

// ReadAlso returns a Serializer that writes with write, and reads with write
// or, on ErrUndecodable, with the first of read that can. With it a format
// changes without signing anyone out: first every instance reads the new
// format also, then each writes it and reads the old one also. A ticket that
// write refuses is read, but never renewed.
func ReadAlso(write Serializer, read ...Serializer) Serializer {
	return readAlso{write, append([]Serializer{write}, read...)}
}

type readAlso struct {
	Serializer
	read []Serializer
}

func (s readAlso) Deserialize(id string, data []byte) (*Ticket, error) {
	var errs []error
	for _, r := range s.read {
		t, err := r.Deserialize(id, data)
		if !errors.Is(err, ErrUndecodable) {
			return t, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// JSONSerializer writes tickets as JSON, version 1, without ID, Subject and
// Revision: Deserialize returns a ticket that has no Subject. Times are in
// milliseconds since 1970; what is zero is left out, and of SeenFrom also the
// user agent if that of Device is the same. It refuses versions and fields that it does not
// know, since it would lose them when the ticket is renewed.
type JSONSerializer struct{}

const jsonVersion = 1

type jsonTicket struct {
	Version         int               `json:"v"`
	Scheme          string            `json:"scheme,omitempty"`
	Identities      []Identity        `json:"identities,omitempty"`
	Properties      map[string]string `json:"properties,omitempty"`
	Device          Device            `json:"device,omitzero"`
	SeenFrom        *jsonSeenFrom     `json:"seenFrom,omitempty"`
	SignedInAt      jsonTime          `json:"signedInAt,omitzero"`
	AuthenticatedAt jsonTime          `json:"authenticatedAt,omitzero"`
	IssuedAt        jsonTime          `json:"issuedAt,omitzero"`
	ExpiresAt       jsonTime          `json:"expiresAt,omitzero"`
	EndsAt          jsonTime          `json:"endsAt,omitzero"`
	IdleTimeout     jsonDuration      `json:"idleTimeout,omitempty"`
	Persistent      bool              `json:"persistent,omitempty"`
	Links           []string          `json:"links,omitempty"`
	LinkedAt        jsonTime          `json:"linkedAt,omitzero"`
}

// Serialize implements [Serializer].
func (JSONSerializer) Serialize(t *Ticket) ([]byte, error) {
	if err := t.validate(); err != nil {
		return nil, err
	}
	// encoding/json would replace invalid UTF-8.
	if err := t.checkText(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // for the reader of redis-cli
	err := enc.Encode(jsonTicket{
		Version:         jsonVersion,
		Scheme:          t.Scheme,
		Identities:      t.Identities,
		Properties:      t.Properties,
		Device:          t.Device,
		SeenFrom:        newJSONSeenFrom(t),
		SignedInAt:      jsonTime(t.SignedInAt),
		AuthenticatedAt: jsonTime(t.AuthenticatedAt),
		IssuedAt:        jsonTime(t.IssuedAt),
		ExpiresAt:       jsonTime(t.ExpiresAt),
		EndsAt:          jsonTime(t.EndsAt),
		IdleTimeout:     jsonDuration(t.IdleTimeout),
		Persistent:      t.Persistent,
		Links:           t.Links,
		LinkedAt:        jsonTime(t.LinkedAt),
	})
	if err != nil {
		return nil, invalid("%w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Deserialize implements [Serializer].
func (JSONSerializer) Deserialize(id string, data []byte) (*Ticket, error) {
	if !utf8.Valid(data) {
		return nil, undecodable(id, "not valid UTF-8")
	}
	var j jsonTicket
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(&j)
	if err == nil {
		if _, end := dec.Token(); end != io.EOF {
			err = errors.New("more follows the JSON")
		}
	}
	if err != nil || j.Version != jsonVersion {
		var v struct {
			Version int `json:"v"`
		}
		if json.Unmarshal(data, &v) == nil && v.Version != jsonVersion {
			err = fmt.Errorf("JSON of version %d; this program reads version %d", v.Version, jsonVersion)
		}
		return nil, undecodable(id, "%w", err)
	}
	t := &Ticket{
		ID:              id,
		Scheme:          j.Scheme,
		Identities:      j.Identities,
		Properties:      j.Properties,
		Device:          j.Device,
		SeenFrom:        j.SeenFrom.device(j.Device),
		SignedInAt:      time.Time(j.SignedInAt),
		AuthenticatedAt: time.Time(j.AuthenticatedAt),
		IssuedAt:        time.Time(j.IssuedAt),
		ExpiresAt:       time.Time(j.ExpiresAt),
		EndsAt:          time.Time(j.EndsAt),
		IdleTimeout:     time.Duration(j.IdleTimeout),
		Persistent:      j.Persistent,
		Links:           j.Links,
		LinkedAt:        time.Time(j.LinkedAt),
	}
	if err := t.validateContent(); err != nil {
		return nil, undecodable(id, "%v", err)
	}
	return t, nil
}

func undecodable(id, format string, args ...any) error {
	return fmt.Errorf("%w: session %s: "+format, append([]any{ErrUndecodable, id}, args...)...)
}

// jsonSeenFrom is a Device that is often another address of the same browser.
type jsonSeenFrom struct {
	UserAgent *string    `json:"userAgent,omitempty"` // nil: that of Device
	Addr      netip.Addr `json:"addr,omitzero"`
}

func newJSONSeenFrom(t *Ticket) *jsonSeenFrom {
	if t.SeenFrom == (Device{}) {
		return nil
	}
	seen := &jsonSeenFrom{Addr: t.SeenFrom.Addr}
	if t.SeenFrom.UserAgent != t.Device.UserAgent {
		seen.UserAgent = &t.SeenFrom.UserAgent
	}
	return seen
}

func (s *jsonSeenFrom) device(first Device) Device {
	if s == nil {
		return Device{}
	}
	if s.UserAgent != nil {
		first.UserAgent = *s.UserAgent
	}
	first.Addr = s.Addr
	return first
}

type jsonTime time.Time

func (t jsonTime) IsZero() bool { return time.Time(t).IsZero() }

func (t jsonTime) MarshalJSON() ([]byte, error) {
	u := time.Time(t).UTC()
	return strconv.AppendInt(nil, u.UnixMilli(), 10), checkYear(u)
}

func (t *jsonTime) UnmarshalJSON(b []byte) error {
	ms, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return fmt.Errorf("%q is no time in Unix milliseconds", b)
	}
	u := time.UnixMilli(ms).UTC()
	*t = jsonTime(u)
	return checkYear(u)
}

func checkYear(u time.Time) error {
	if y := u.Year(); y < 0 || y > 9999 {
		return fmt.Errorf("year %d is outside of RFC 3339", y)
	}
	return nil
}

type jsonDuration time.Duration

func (d jsonDuration) MarshalText() ([]byte, error) {
	return []byte(time.Duration(d).Truncate(time.Millisecond).String()), nil
}

func (d *jsonDuration) UnmarshalText(b []byte) error {
	u, err := time.ParseDuration(string(b))
	*d = jsonDuration(u)
	return err
}
