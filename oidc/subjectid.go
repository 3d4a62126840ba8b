package oidc

import (
	"errors"
	"time"
)

// A subjectID is a Subject Identifier (RFC 9493) or, with session or user, a
// complex one (OpenID Shared Signals Framework 1.0, section 3).
type subjectID struct {
	Format  string     `json:"format"`
	Issuer  string     `json:"iss"`
	Subject string     `json:"sub"`
	Email   string     `json:"email"`
	ID      string     `json:"id"`
	Session *subjectID `json:"session"`
	User    *subjectID `json:"user"`
}

var (
	// errNoSubject: it identifies somebody of another issuer.
	errNoSubject = errors.New("nobody here comes from that issuer")

	errFormat = errors.New("the subject identifier is none of iss_sub, email and a complex one with session or user")
)

// ends returns the link of whom s identifies, and up to when its sessions end if
// that happened at a time. A complex subject without a session may name a device
// or more, too: all sessions of the user are meant then, as nothing here knows
// the provider's devices.
func (p *Provider) ends(s *subjectID, at time.Time) (link string, before time.Time, err error) {
	switch {
	case s == nil:
		return "", at, errFormat
	case s.Format == "iss_sub" && s.Issuer != "" && s.Subject != "":
		if s.Issuer != p.cfg.Issuer {
			return "", at, errNoSubject
		}
		return Link("sub", s.Issuer, s.Subject), at, nil
	case s.Format == "email" && s.Email != "":
		return Link("email", p.cfg.Issuer, s.Email), at, nil
	case s.Format != "complex" && s.Format != "":
		return "", at, errFormat
	case s.Session != nil && s.Session.Format == "opaque" && s.Session.ID != "":
		return Link("sid", p.cfg.Issuer, s.Session.ID), at.Add(sidAhead), nil
	case s.User != nil && s.User.Format != "complex":
		return p.ends(s.User, at)
	}
	return "", at, errFormat
}
