package aspnetcore

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/subjects"
)

// Items of AuthenticationProperties that say something about a ticket. All but
// the last are fields of it.
const (
	itemIssued     = ".issued"
	itemExpires    = ".expires"
	itemPersistent = ".persistent"
	itemRefresh    = ".refresh"
)

// Our own items. Those of times and of the idle timeout are empty if the ticket
// has none and .NET's items would give it one.
const (
	ownPrefix = "ticketstore."

	itemSignedInAt      = ownPrefix + "signedInAt"
	itemAuthenticatedAt = ownPrefix + "authenticatedAt"
	itemEndsAt          = ownPrefix + "endsAt"
	itemIdleTimeout     = ownPrefix + "idleTimeout"
	itemUserAgent       = ownPrefix + "device.userAgent"
	itemAddr            = ownPrefix + "device.addr"
	itemSeenAgent       = ownPrefix + "seenFrom.userAgent"
	itemSeenAddr        = ownPrefix + "seenFrom.addr"
	itemLinks           = ownPrefix + "links" // a line each
	itemLinkedAt        = ownPrefix + "linkedAt"
	itemFilled          = ownPrefix + "filled"
)

const ownTimeLayout = "2006-01-02T15:04:05Z" // RFC 3339, for the reader of redis-cli

func reserved(key string) bool {
	return key == itemIssued || key == itemExpires || key == itemPersistent || strings.HasPrefix(key, ownPrefix)
}

func toItems(t *ticketstore.Ticket, filled []string) ([]pair, error) {
	m := make(map[string]string, len(t.Properties)+4)
	for k, v := range t.Properties {
		if reserved(k) {
			return nil, fmt.Errorf("the property %.100q is reserved", k)
		}
		m[k] = v
	}
	for name, at := range map[string]time.Time{"SignedInAt": t.SignedInAt, "AuthenticatedAt": t.AuthenticatedAt, "IssuedAt": t.IssuedAt, "ExpiresAt": t.ExpiresAt, "EndsAt": t.EndsAt, "LinkedAt": t.LinkedAt} {
		if y := at.UTC().Year(); y < 1 || y > 9999 || !at.IsZero() && at.Truncate(time.Second).IsZero() {
			return nil, fmt.Errorf("%s, %v, is outside of .NET's years", name, at)
		}
	}
	if !t.SignedInAt.IsZero() || !t.IssuedAt.IsZero() {
		m[itemSignedInAt] = formatOwnTime(t.SignedInAt)
	}
	if !t.EndsAt.IsZero() || !t.ExpiresAt.IsZero() && refreshOff(t) {
		m[itemEndsAt] = formatOwnTime(t.EndsAt)
	}
	if t.IdleTimeout != 0 && t.IdleTimeout < time.Millisecond {
		return nil, fmt.Errorf("IdleTimeout %v is under a millisecond", t.IdleTimeout)
	}
	if t.IdleTimeout != 0 || window(t) > 0 {
		m[itemIdleTimeout] = formatIdleTimeout(t.IdleTimeout)
	}
	if err := subjects.CheckLinks(t.Links); err != nil {
		return nil, err
	}
	for k, v := range map[string]string{
		itemAuthenticatedAt: formatOwnTime(t.AuthenticatedAt),
		itemLinks:           strings.Join(t.Links, "\n"), itemLinkedAt: formatOwnTime(t.LinkedAt),
		itemUserAgent: t.Device.UserAgent, itemAddr: formatAddr(t.Device.Addr),
		itemSeenAgent: t.SeenFrom.UserAgent, itemSeenAddr: formatAddr(t.SeenFrom.Addr),
		itemFilled: joinFilled(filled),
	} {
		if v != "" {
			m[k] = v
		}
	}
	items := sortedPairs(m)
	if t.Persistent {
		items = append(items, pair{itemPersistent, ""})
	}
	if !t.IssuedAt.IsZero() {
		items = append(items, pair{itemIssued, formatDate(t.IssuedAt)})
	}
	if !t.ExpiresAt.IsZero() {
		items = append(items, pair{itemExpires, formatDate(t.ExpiresAt)})
	}
	return items, nil
}

// fromItems sets the fields of t that are items, and returns what was filled
// in.
func fromItems(t *ticketstore.Ticket, items []pair) (filled []string, err error) {
	var signedIn, ends, idle bool // whether an item of ours says
	for _, it := range items {
		var err error
		switch it.key {
		case itemIssued:
			t.IssuedAt, _ = parseDate(it.value)
		case itemExpires:
			t.ExpiresAt, _ = parseDate(it.value)
			if t.ExpiresAt.IsZero() {
				err = errors.New("not a time, which must not mean for ever")
			}
		case itemPersistent:
			t.Persistent = true
		case itemSignedInAt:
			signedIn = true
			t.SignedInAt, err = parseOwnTime(it.value)
		case itemAuthenticatedAt:
			t.AuthenticatedAt, err = parseOwnTime(it.value)
		case itemEndsAt:
			ends = true
			t.EndsAt, err = parseOwnTime(it.value)
		case itemIdleTimeout:
			idle = true
			t.IdleTimeout, err = parseIdleTimeout(it.value)
		case itemUserAgent:
			t.Device.UserAgent = it.value
		case itemAddr:
			t.Device.Addr, err = parseAddr(it.value)
		case itemSeenAgent:
			t.SeenFrom.UserAgent = it.value
		case itemSeenAddr:
			t.SeenFrom.Addr, err = parseAddr(it.value)
		case itemLinks:
			t.Links = strings.Split(it.value, "\n")
			err = subjects.CheckLinks(t.Links)
		case itemLinkedAt:
			t.LinkedAt, err = parseOwnTime(it.value)
		case itemFilled:
			filled, err = splitFilled(it.value)
		default:
			if reserved(it.key) {
				err = errors.New("unknown to this program, which would lose it")
				break
			}
			if t.Properties == nil {
				t.Properties = make(map[string]string)
			}
			t.Properties[it.key] = it.value
		}
		if err != nil {
			return nil, fmt.Errorf("item %q: %w", it.key, err)
		}
	}
	if !signedIn {
		t.SignedInAt = t.IssuedAt
	}
	if !ends && refreshOff(t) {
		t.EndsAt = t.ExpiresAt
	}
	if !idle {
		t.IdleTimeout = window(t)
	}
	return filled, nil
}

// refreshOff reports whether .NET would not renew t by activity.
func refreshOff(t *ticketstore.Ticket) bool {
	allow, ok := parseBool(t.Properties[itemRefresh])
	return ok && !allow
}

// window returns how long t is valid after a renewal, as .NET goes by: what its
// items say. It is 0 if they do not.
func window(t *ticketstore.Ticket) time.Duration {
	if t.IssuedAt.IsZero() || t.ExpiresAt.IsZero() {
		return 0
	}
	return max(0, t.ExpiresAt.Truncate(time.Second).Sub(t.IssuedAt.Truncate(time.Second)))
}

func formatOwnTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(ownTimeLayout)
}

// parseOwnTime takes only what formatOwnTime gives.
func parseOwnTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(ownTimeLayout, s)
	if err != nil || t.Year() < 1 || formatOwnTime(t) != s { // .NET has no year 0
		return t, errors.New("not a time")
	}
	return t, nil
}

func formatIdleTimeout(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.Truncate(time.Millisecond).String()
}

// parseIdleTimeout takes only what formatIdleTimeout gives.
func parseIdleTimeout(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Millisecond || formatIdleTimeout(d) != s {
		return 0, errors.New("not an idle timeout")
	}
	return d, nil
}

func formatAddr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, errors.New("not an address") // without the address: it is personal data
	}
	return a, nil
}
