package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Subject returns the subject of a user of an issuer: the two with a space
// between. sub alone names nobody, as every issuer has its own users. What no
// ticket can have, as it is longer than 1,024 bytes, say, becomes its hash.
func Subject(issuer, sub string) string { return name("", issuer, sub) }

// Link returns the name of what a session depends on, for
// [ticketstore.LinkIndex]: such as "oidc-sid https://id.example.com 08a5019c".
// A session of this package has, in this order,
//
//	Link("sub", issuer, sub)            the user at the provider
//	Link("client", issuer, clientID)    all who signed in through this client
//	Link("sid", issuer, sid)            the session there, if the ID token says
//	Link("email", issuer, address)      if it has one that is not unverified;
//	                                    Link ignores its case
//
// Add others, such as of a tenant, in [Config].Accept.
func Link(kind, issuer, value string) string {
	if kind == "email" {
		value = strings.ToLower(value)
	}
	return name("oidc-"+kind+" ", issuer, value)
}

const maxName = 1024 // bytes of a subject or a link

// name joins what an issuer has named. An issuer is a URL, and has no space.
func name(prefix, issuer, value string) string {
	s := prefix + issuer + " " + value
	if len(s) <= maxName && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return prefix + "sha256 " + base64.RawURLEncoding.EncodeToString(sum[:])
}
