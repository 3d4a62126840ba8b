package compact

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/subjects"
)

const maxActorDepth = 8 // as everywhere

// A wireTicket is a ticket as CBOR has it, but for what the store keeps. Field
// numbers never change their meaning.
type wireTicket struct {
	Scheme          string            `cbor:"1,keyasint,omitempty"`
	Identities      []wireIdentity    `cbor:"2,keyasint,omitempty"`
	Properties      map[string]string `cbor:"3,keyasint,omitempty"`
	Device          *wireDevice       `cbor:"4,keyasint,omitempty"`
	SeenFrom        *wireDevice       `cbor:"5,keyasint,omitempty"`
	SignedInAt      *int64            `cbor:"6,keyasint,omitempty"`  // Unix ms
	IssuedAt        *int64            `cbor:"7,keyasint,omitempty"`  // as AuthenticatedAt
	ExpiresAt       *int64            `cbor:"8,keyasint,omitempty"`  // ms since IssuedAt, likewise
	EndsAt          *int64            `cbor:"9,keyasint,omitempty"`  // as AuthenticatedAt
	IdleTimeout     int64             `cbor:"10,keyasint,omitempty"` // ms
	Persistent      bool              `cbor:"11,keyasint,omitempty"`
	AuthenticatedAt *int64            `cbor:"12,keyasint,omitempty"` // ms since SignedInAt; since 1970 if there is none
	Links           []string          `cbor:"13,keyasint,omitempty"`
	LinkedAt        *int64            `cbor:"14,keyasint,omitempty"` // as AuthenticatedAt
}

type wireIdentity struct {
	AuthenticationType string        `cbor:"1,keyasint,omitempty"`
	NameClaimType      string        `cbor:"2,keyasint,omitempty"`
	RoleClaimType      string        `cbor:"3,keyasint,omitempty"`
	BootstrapContext   string        `cbor:"4,keyasint,omitempty"`
	Claims             []wireClaim   `cbor:"5,keyasint,omitempty"`
	Actor              *wireIdentity `cbor:"6,keyasint,omitempty"`
}

type wireClaim struct {
	Type           string            `cbor:"1,keyasint,omitempty"`
	Value          string            `cbor:"2,keyasint,omitempty"`
	ValueType      string            `cbor:"3,keyasint,omitempty"`
	Issuer         string            `cbor:"4,keyasint,omitempty"`
	OriginalIssuer string            `cbor:"5,keyasint,omitempty"`
	Properties     map[string]string `cbor:"6,keyasint,omitempty"`
}

type wireDevice struct {
	UserAgent string `cbor:"1,keyasint,omitempty"`
	Addr      []byte `cbor:"2,keyasint,omitempty"` // 4 or 16 bytes
}

// toWire returns t as CBOR has it, and whether it can be given back as it is.
func toWire(t *ticketstore.Ticket) (w wireTicket, ok bool) {
	if t == nil || subjects.Check(t.Subject) != nil || t.IdleTimeout != 0 && t.IdleTimeout < time.Millisecond || subjects.CheckLinks(t.Links) != nil {
		return w, false
	}
	ok = true
	text := func(s string) string {
		ok = ok && utf8.ValidString(s)
		return s
	}
	texts := func(m map[string]string) map[string]string {
		for k, v := range m {
			text(k)
			text(v)
		}
		return m
	}
	device := func(d ticketstore.Device) *wireDevice {
		if d == (ticketstore.Device{}) {
			return nil
		}
		return &wireDevice{text(d.UserAgent), d.Addr.WithZone("").AsSlice()}
	}
	var identity func(id *ticketstore.Identity, depth int) wireIdentity
	identity = func(id *ticketstore.Identity, depth int) wireIdentity {
		w := wireIdentity{
			AuthenticationType: text(id.AuthenticationType),
			NameClaimType:      text(id.NameClaimType),
			RoleClaimType:      text(id.RoleClaimType),
			BootstrapContext:   text(id.BootstrapContext),
		}
		for _, c := range id.Claims {
			w.Claims = append(w.Claims, wireClaim{text(c.Type), text(c.Value), text(c.ValueType), text(c.Issuer), text(c.OriginalIssuer), texts(c.Properties)})
		}
		if ok = ok && (id.Actor == nil || depth < maxActorDepth); ok && id.Actor != nil {
			w.Actor = new(identity(id.Actor, depth+1))
		}
		return w
	}
	millis := func(at, since time.Time) *int64 {
		if at.IsZero() {
			return nil
		}
		ok = ok && plausible(at.UTC())
		return new(at.UnixMilli() - unixMilli(since)) // cut
	}
	w = wireTicket{
		Scheme:          text(t.Scheme),
		Properties:      texts(t.Properties),
		Device:          device(t.Device),
		SeenFrom:        device(t.SeenFrom),
		SignedInAt:      millis(t.SignedInAt, time.Time{}),
		AuthenticatedAt: millis(t.AuthenticatedAt, t.SignedInAt),
		IssuedAt:        millis(t.IssuedAt, t.SignedInAt),
		ExpiresAt:       millis(t.ExpiresAt, t.IssuedAt),
		EndsAt:          millis(t.EndsAt, t.SignedInAt),
		IdleTimeout:     t.IdleTimeout.Milliseconds(),
		Persistent:      t.Persistent,
		Links:           t.Links,
		LinkedAt:        millis(t.LinkedAt, t.SignedInAt),
	}
	for i := range t.Identities {
		w.Identities = append(w.Identities, identity(&t.Identities[i], 1))
	}
	return w, ok
}

// unixMilli is UnixMilli, 0 for a zero time.
func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// plausible reports whether t's year is one that JSON could write, too.
func plausible(t time.Time) bool { return t.Year() >= 0 && t.Year() <= 9999 }

func (w *wireTicket) ticket() (*ticketstore.Ticket, error) {
	if w.IdleTimeout < 0 || w.IdleTimeout > int64((1<<63-1)/time.Millisecond) {
		return nil, fmt.Errorf("its idle timeout is %d ms", w.IdleTimeout)
	}
	t := &ticketstore.Ticket{
		Scheme:      w.Scheme,
		Properties:  w.Properties,
		IdleTimeout: time.Duration(w.IdleTimeout) * time.Millisecond,
		Persistent:  w.Persistent,
		Links:       w.Links,
	}
	if err := subjects.CheckLinks(t.Links); err != nil {
		return nil, err
	}
	for _, at := range []struct {
		ms          *int64
		time, since *time.Time
	}{
		{w.SignedInAt, &t.SignedInAt, new(time.Time)},
		{w.AuthenticatedAt, &t.AuthenticatedAt, &t.SignedInAt},
		{w.IssuedAt, &t.IssuedAt, &t.SignedInAt},
		{w.ExpiresAt, &t.ExpiresAt, &t.IssuedAt},
		{w.EndsAt, &t.EndsAt, &t.SignedInAt},
		{w.LinkedAt, &t.LinkedAt, &t.SignedInAt},
	} {
		if at.ms == nil {
			continue
		}
		*at.time = time.UnixMilli(unixMilli(*at.since) + *at.ms).UTC()
		if !plausible(*at.time) || at.time.IsZero() {
			return nil, fmt.Errorf("a time of it is %d ms", *at.ms)
		}
	}
	var err error
	if t.Device, err = w.Device.device(); err != nil {
		return nil, err
	}
	if t.SeenFrom, err = w.SeenFrom.device(); err != nil {
		return nil, err
	}
	for i := range w.Identities {
		id, err := w.Identities[i].identity(1)
		if err != nil {
			return nil, err
		}
		t.Identities = append(t.Identities, id)
	}
	return t, nil
}

func (w *wireDevice) device() (d ticketstore.Device, err error) {
	if w == nil {
		return d, nil
	}
	d.UserAgent = w.UserAgent
	if len(w.Addr) > 0 {
		var ok bool
		if d.Addr, ok = netip.AddrFromSlice(w.Addr); !ok {
			err = fmt.Errorf("an address of it has %d bytes", len(w.Addr))
		}
	}
	return d, err
}

func (w *wireIdentity) identity(depth int) (ticketstore.Identity, error) {
	id := ticketstore.Identity{
		AuthenticationType: w.AuthenticationType,
		NameClaimType:      w.NameClaimType,
		RoleClaimType:      w.RoleClaimType,
		BootstrapContext:   w.BootstrapContext,
	}
	for _, c := range w.Claims {
		id.Claims = append(id.Claims, ticketstore.Claim(c))
	}
	if w.Actor != nil {
		if depth == maxActorDepth {
			return id, errors.New("actors are nested more than 8 deep")
		}
		actor, err := w.Actor.identity(depth + 1)
		if err != nil {
			return id, err
		}
		id.Actor = &actor
	}
	return id, nil
}
