package aspnetcore

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseXML(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }
	for _, good := range []string{
		"<a/>", " \r\n\t<a></a>\n", `<?xml version="1.0"?><a/>`, `<?xml version="1.0" encoding="UTF-8"?><!-- c --><a/><?p i?>`,
		`<a xmlns="u" xmlns:p="v" b="1" p:b="2"><p:c/></a>`, `<a xml:space="preserve"/>`, "<a><![CDATA[<]]></a>", nested(maxXMLDepth),
		"<a>" + strings.Repeat("<b/>", maxXMLNodes-1) + "</a>", "<a>" + strings.Repeat(" ", maxItemBytes-7) + "</a>",
	} {
		if _, err := parseXML([]byte(good)); err != nil {
			t.Errorf("%.50q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", " ", "text", "<a>", "</a>", "<a></b>", "<a/><b/>", "<a/>text", "text<a/>", "<a/>&amp;", "<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
		"<a>&e;</a>", "<a b=1/>", "<a b/>", "<a b='<'/>", `<a b="1" b="2"/>`, `<a xmlns:p="u" xmlns:q="u" p:b="1" q:b="2"/>`, "<p:a/>", `<a p:b="1"/>`,
		`<a><b xmlns:p="u"/><p:c/></a>`, `<a><b xmlns:p="p"/><p:c/></a>`, ` <?xml version="1.0"?><a/>`, `<a/><?xml version="1.0"?>`, `<?xml version="1.0" encoding="utf-16"?><a/>`, `<?xml version="1.1"?><a/>`,
		"\ufeff<a/>", "<a>\x00</a>", "<a>\x01</a>", "<a>\xff</a>", "<!-- -- --><a/>", "<!-- c -->", "<a>]]></a>", nested(maxXMLDepth + 1), strings.Repeat("<a>", 100_000),
		"<a>" + strings.Repeat("<b/>", maxXMLNodes) + "</a>", "<a>" + strings.Repeat(`<b c=""/>`, maxXMLNodes/2) + "</a>", "<a>" + strings.Repeat(" ", maxItemBytes-6) + "</a>",
	} {
		if e, err := parseXML([]byte(bad)); err == nil {
			t.Errorf("%.50q: got %+v, want an error", bad, e)
		}
	}
	e, err := parseXML([]byte(`<a b="1" x:b="2" xmlns:x="u">one<!-- no --><c>two<d/></c><c/>&lt;<![CDATA[&]]></a>`))
	if err != nil {
		t.Fatal(err)
	}
	if got := e.value(); got != "onetwo<&" {
		t.Errorf("got the text %q", got)
	}
	if e.attr("b") != "1" || e.attr("c") != "" || e.child("", "c").value() != "two" || e.child("u", "c") != nil || e.only() != nil || e.child("", "c").only().name.Local != "d" {
		t.Errorf("got %+v", e)
	}
}

func TestParseGUID(t *testing.T) {
	const hex = "aaaaaaaa000040008000000000000001"
	for _, good := range []string{keyA, hex, "{" + keyA + "}", "(" + keyA + ")", strings.ToUpper(keyA), " " + keyA + "\n"} {
		if got, ok := parseGUID(good); !ok || got.String() != keyA {
			t.Errorf("%q: got %v, %v", good, got, ok)
		}
	}
	for _, bad := range []string{"", "b2", "*", keyA[1:], keyA + "0", "{" + keyA + ")", "{" + keyA, "x" + keyA + "y", "{" + hex + "}", "urn:uuid:" + keyA, keyA[:35] + "g", strings.ReplaceAll(keyA, "-", "+")} {
		if got, ok := parseGUID(bad); ok {
			t.Errorf("%q: got %v, want none", bad, got)
		}
	}
}

func TestParseXMLDate(t *testing.T) {
	parse := func(s string) (time.Time, error) {
		e, err := parseXML([]byte("<key><date>" + s + "</date></key>"))
		if err != nil {
			t.Fatal(err)
		}
		return parseXMLDate(e, "date")
	}
	for good, want := range map[string]time.Time{
		"2031-03-03T09:00:00Z":            ringTime,
		" \n2031-03-03T09:00:00Z ":        ringTime,
		"2031-03-03<!-- c -->T09:00:00Z":  ringTime,
		"2031-03-03T11:30:00.0+02:30":     ringTime,
		"2031-03-03T09:00:00.0000001Z":    ringTime.Add(100),
		"2031-03-03T09:00:00.123456789Z":  ringTime.Add(123456700),
		"2031-03-02T23:00:00.5-10:00":     ringTime.Add(time.Second / 2),
		"0001-01-01T00:00:00Z":            {},
		"9999-12-31T23:59:59.9999999Z":    time.Date(9999, 12, 31, 23, 59, 59, 999999900, time.UTC),
		"2031-03-03T09:00:00.0000000001Z": ringTime,
	} {
		if got, err := parse(good); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v", good, got, err, want)
		}
	}
	for _, bad := range []string{
		"", "yesterday", "2031-03-03T09:00:00", "2031-03-03", "2031-03-03Z", "2031-03-03 09:00:00Z", "2031-03-03T9:00:00Z", "2031-03-03T09:00:00,5Z", "2031-02-29T09:00:00Z",
		"2031-03-03T09:00:00z", "2031-03-03T09:00Z", "0000-01-01T00:00:00Z", "12031-03-03T09:00:00Z", "2031-03-03T09:00:00Zx",
	} {
		if got, err := parse(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}

// What .NET does where the golden data has no case.
func TestRing(t *testing.T) {
	parse := func(elements ...string) (*ring, error) {
		var items []item
		for i, e := range elements {
			items = append(items, item{fmt.Sprintf("item %d", i), []byte(e)})
		}
		return newRing(items, nil)
	}
	a, b := agedKey(keyA, 24*time.Hour), agedKey(keyB, 48*time.Hour)
	revocation := func(inner string) string { return `<revocation version="1">` + inner + `</revocation>` }
	for name, c := range map[string]struct {
		elements        []string
		revoked, listed string
	}{
		"no date":             {[]string{a, b, revocation(`<key id="` + keyA + `"/>`)}, keyA, keyA + keyB},
		"capitals and braces": {[]string{a, b, revocation(`<key id="{` + strings.ToUpper(keyB) + `}"/>`)}, keyB, keyA + keyB},
		"in the year 1":       {[]string{a, b, revocation(`<revocationDate>0001-01-01T00:00:00Z</revocationDate><key id="*"/>`)}, "", keyA + keyB},
		"all":                 {[]string{revocation(`<revocationDate>2032-01-01T00:00:00Z</revocationDate><key id="*"/>`), a, b}, keyA + keyB, keyA + keyB},
		"of a namespace":      {[]string{strings.Replace(a, "<key ", `<key xmlns="u" `, 1), b, `<p:revocation xmlns:p="u"/>`}, "", keyB},
		"left out twice":      {[]string{strings.Replace(a, "Z<", "<", 1), a, b}, "", keyA + keyB},
	} {
		r, err := parse(c.elements...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		revoked, listed := "", ""
		for _, k := range r.keys {
			listed += k.id.String()
			if k.revoked {
				revoked += k.id.String()
			}
		}
		if revoked != c.revoked || listed != c.listed {
			t.Errorf("%s: got %s revoked of %s, want %s of %s", name, revoked, listed, c.revoked, c.listed)
		}
	}
	for name, inner := range map[string]string{
		"nothing": "", "no id": "<key/>", "no key": "<revocationDate>2032-01-01T00:00:00Z</revocationDate>", "empty id": `<key id=""/>`,
		"all, no zone": `<revocationDate>2032-01-01T00:00:00</revocationDate><key id="*"/>`, "all, no date": `<key id="*"/>`,
	} {
		_, err := parse(a, revocation(inner))
		wantError(t, name, err, "item 1: a revocation that cannot be read")
	}
}

// The order of the keys that stand in for the preferred one, which is revoked.
func TestFallback(t *testing.T) {
	const day = 24 * time.Hour
	key := func(n int) string { return fmt.Sprintf("dddddddd-0000-4000-8000-00000000000%d", n) }
	revoke := func(id string) string { return `<revocation version="1"><key id="` + id + `"/></revocation>` }
	unusable := strings.Replace(agedKey(key(5), 5*day), "AES_256_CBC", "ROT13", 1)
	preferred := []string{agedKey(keyC, 0), revoke(keyC)}
	for name, c := range map[string]struct {
		elements []string
		want     string
	}{
		"none":                     {nil, ""},
		"the newest of the old":    {[]string{agedKey(key(9), 9*day), agedKey(key(6), 6*day), agedKey(key(8), 8*day), agedKey(key(1), day)}, key(6)},
		"the oldest of the young":  {[]string{agedKey(key(0), time.Hour), agedKey(key(1), day), agedKey(key(2), day-time.Second)}, key(1)},
		"two days are old":         {[]string{agedKey(key(3), 3*day), agedKey(key(2), 2*day)}, key(2)},
		"a second less is not":     {[]string{agedKey(key(3), 3*day), agedKey(key(2), 2*day-time.Second)}, key(3)},
		"none that is revoked":     {[]string{agedKey(key(6), 6*day), agedKey(key(8), 8*day), revoke(key(6))}, key(8)},
		"none that is unusable":    {[]string{unusable, agedKey(key(8), 8*day)}, key(8)},
		"but one that has expired": {[]string{unusable, agedKey(key(8), 100*day)}, key(8)},
		"the first of equals":      {[]string{agedKey(key(8), 8*day), agedKey(key(7), 8*day)}, key(8)},
		"or is not yet active":     {[]string{agedKey(key(8), -8*day)}, key(8)},
	} {
		ring := ringOf(t, nil, append(preferred, c.elements...)...)
		payload, err := NewProtector(ring, "test").Protect(at(ringTime), nil)
		switch {
		case c.want == "":
			wantError(t, name, err, "{"+keyC+"} has been revoked", "has to make a key")
		case err != nil || payloadKey(payload) != c.want:
			t.Errorf("%s: got %x, %v, want %s", name, payload, err, c.want)
		}
	}
}

// A key that cannot be used does not spoil the ring, and its error says what
// to do.
func TestUnusableKeys(t *testing.T) {
	golden := loadDataProtection(t)
	right := golden.AtRest.Certificate.load(t)
	encrypted := map[string]string{}
	for _, c := range golden.AtRest.Cases {
		encrypted[c.Name] = c.KeyXML
	}
	certificate, null := encrypted["certificate"], encrypted["null-encryptor"]
	plain, managed := agedKey(keyA, time.Hour), golden.Algorithms[10].KeyXML
	secret := strings.ReplaceAll(keyA, "-", "")
	cut := func(s, from, to string) string {
		i := strings.Index(s, from)
		return s[:i] + s[i+strings.Index(s[i:], to)+len(to):]
	}
	for name, c := range map[string]struct{ element, from, to, want string }{
		"no descriptor":          {cut(plain, "<descriptor", "</descriptor></descriptor>"), "", "", "no descriptor"},
		"empty descriptor":       {cut(plain, "<descriptor>", "</descriptor>"), "", "", "not exactly one"},
		"two inside":             {plain, "</descriptor></descriptor>", "</descriptor><x/></descriptor>", "not exactly one"},
		"CNG":                    {plain, "AuthenticatedEncryptorDescriptorDeserializer", "CngCbcAuthenticatedEncryptorDescriptorDeserializer", "CngCbc"},
		"no type":                {plain, "deserializerType", "other", `the type ""`},
		"of another vendor":      {plain, `"Microsoft.AspNetCore.`, `"Vendor.`, "Vendor."},
		"cipher":                 {plain, "AES_256_CBC", "ROT13", `"ROT13"`},
		"cipher by number":       {plain, "AES_256_CBC", "2", `"2"`},
		"cipher size":            {plain, "AES_256_CBC", "AES_512_CBC", "AES_512_CBC"},
		"MAC":                    {plain, "HMACSHA256", "MD5", `"MD5"`},
		"HMACSHA384 by name":     {plain, "HMACSHA256", "HMACSHA384", "HMACSHA384"},
		"no MAC":                 {plain, `<validation algorithm="HMACSHA256" />`, "", "validation"},
		"no cipher":              {plain, `<encryption algorithm="AES_256_CBC" />`, "", "encryption"},
		"no master key":          {plain, "masterKey>", "other>", "no master key"},
		"empty master key":       {plain, secret, " ", "is empty"},
		"base64":                 {plain, secret, "a", "not base64"},
		"URL base64":             {plain, secret, "-_-_", "not base64"},
		"managed cipher":         {managed, `"Aes"`, `"TripleDES"`, "TripleDES"},
		"managed MAC":            {managed, `"HMACSHA256"`, `"HMACMD5"`, "HMACMD5"},
		"managed size":           {managed, `"256"`, `"257"`, "128, 192 or 256"},
		"managed, no size":       {managed, `keyLength`, `other`, "128, 192 or 256"},
		"DPAPI":                  {certificate, "XmlEncryption.EncryptedXmlDecryptor", "XmlEncryption.DpapiXmlDecryptor", "KeyRingConfig.Certificates"},
		"Azure":                  {certificate, "Microsoft.AspNetCore.DataProtection.XmlEncryption.EncryptedXmlDecryptor, Microsoft.AspNetCore.DataProtection", "Azure.Extensions.AspNetCore.DataProtection.Keys.AzureKeyVaultXmlDecryptor, Azure.Extensions.AspNetCore.DataProtection.Keys", "AzureKeyVaultXmlDecryptor"},
		"two secrets":            {certificate, "</EncryptedData>", "</EncryptedData><x/>", "not exactly one"},
		"no EncryptedData":       {certificate, "EncryptedData", "Other", "EncryptedData"},
		"content algorithm":      {certificate, "aes256-cbc", "tripledes-cbc", "tripledes-cbc"},
		"key algorithm":          {certificate, "rsa-1_5", "kw-aes256", "kw-aes256"},
		"other size":             {certificate, "aes256-cbc", "aes128-cbc", errBadSecret.Error()},
		"OAEP for PKCS 1":        {certificate, "rsa-1_5", "rsa-oaep-mgf1p", errBadSecret.Error()},
		"PKCS 1 for OAEP":        {encrypted["oaep-sha1-aes256-cbc"], "rsa-oaep-mgf1p", "rsa-1_5", errBadSecret.Error()},
		"OAEP with SHA-256":      {encrypted["oaep-sha1-digestmethod"], "xmldsig#sha1", "other#sha256", "other#sha256"},
		"no EncryptedKey":        {certificate, "EncryptedKey", "Other", "EncryptedKey"},
		"no certificate":         {certificate, "X509Certificate", "Other", "does not name a certificate"},
		"another certificate":    {certificate, "<X509Certificate>M", "<X509Certificate>N", "KeyRingConfig.Certificates"},
		"certificate not base64": {certificate, "<X509Certificate>", "<X509Certificate>*", "KeyRingConfig.Certificates"},
		"no CipherValue":         {certificate, "CipherValue", "Other", "CipherValue"},
		"CipherValue not base64": {certificate, "<CipherValue>", "<CipherValue>*", "not base64"},
		"key damaged":            {certificate, "<CipherValue>T", "<CipherValue>A", errBadSecret.Error()},
		"content damaged":        {certificate, "<CipherValue>6vUD", "<CipherValue>AAAA", errBadSecret.Error()},
		"content cut":            {certificate, "<CipherValue>6vUD", "<CipherValue>", errBadSecret.Error()},
		"null, empty":            {cut(null, "<masterKey", "</masterKey>"), "", "", "not exactly one"},
		"null, no master key":    {null, "masterKey", "other", "no master key"},
	} {
		element := strings.ReplaceAll(c.element, c.from, c.to)
		if c.from == "" {
			element = c.element
		}
		if element == plain || element == managed || element == certificate || element == null {
			t.Errorf("%s: nothing was changed", name)
		}
		ring := ringOf(t, []tls.Certificate{right}, element)
		err := ring.Check(at(ringTime))
		wantError(t, name, err, "cannot be used: ", c.want)
		wantOutage(t, name, err)
		if len(ring.ring.keys) != 1 {
			t.Errorf("%s: got keys %v, want one", name, ring.ring.keys)
		}
	}
}

// Check speaks of a key that .NET protects with and we cannot use, even if there
// is a fallback; not of one that is no longer used.
func TestCheckPreferred(t *testing.T) {
	const day = 24 * time.Hour
	rot13 := func(element string) string { return strings.Replace(element, "AES_256_CBC", "ROT13", 1) }
	good := agedKey(keyA, 100*day)
	for name, c := range map[string]struct {
		elements []string
		want     bool
	}{
		"in use":  {[]string{good, rot13(agedKey(keyB, day))}, false},
		"revoked": {[]string{good, rot13(agedKey(keyB, day)), `<revocation version="1"><key id="` + keyB + `"/></revocation>`}, true},
		"expired": {[]string{good, rot13(agedKey(keyB, 95*day))}, true},
		"older":   {[]string{rot13(agedKey(keyB, 2*day)), agedKey(keyA, day)}, true},
	} {
		r := ringOf(t, nil, c.elements...)
		if err := r.Check(at(ringTime)); (err == nil) != c.want {
			t.Errorf("%s: got %v, want none: %v", name, err, c.want)
		}
		if got := payloadKey(protect(t, at(ringTime), r)); got != keyA {
			t.Errorf("%s: got a payload of %s, want %s", name, got, keyA)
		}
	}
}

// Other spellings that .NET reads.
func TestUsableKeys(t *testing.T) {
	golden := loadDataProtection(t)
	right := golden.AtRest.Certificate.load(t)
	plain, managed, certificate := agedKey(keyA, time.Hour), golden.Algorithms[10].KeyXML, golden.AtRest.Cases[0].KeyXML
	for name, element := range map[string]string{
		"SHA-1":              strings.Replace(managed, `"HMACSHA256"`, `"HMACSHA1"`, 1),
		"types":              strings.NewReplacer(`"Aes"`, `"System.Security.Cryptography.Aes, System.Security.Cryptography, Version=10.0.0.0"`, `"HMACSHA256"`, `"System.Security.Cryptography.HMACSHA512, System.Security.Cryptography"`).Replace(managed),
		"prefixes":           strings.NewReplacer(`<encryptedSecret `, `<p:encryptedSecret `, `xmlns="http://schemas.asp.net`, `xmlns:p="http://schemas.asp.net`, "</encryptedSecret>", "</p:encryptedSecret>").Replace(certificate),
		"pre-1.0 decryptor":  strings.Replace(certificate, "Microsoft.AspNetCore.DataProtection.XmlEncryption", "Microsoft.AspNet.DataProtection.XmlEncryption", 1),
		"lines":              strings.ReplaceAll(certificate, "><", ">\n  <"),
		"base64 in lines":    strings.Replace(certificate, "<CipherValue>6vUD", "<CipherValue>\n 6v\r\nUD\t", 1),
		"in CDATA":           strings.NewReplacer("<value>", "<value><![CDATA[", "</value>", "]]></value>").Replace(plain),
		"texts":              strings.NewReplacer("<value>aaaa", "aa<x>a</x><value>a").Replace(plain),
		"GCM, no validation": strings.NewReplacer("AES_256_CBC", "AES_128_GCM", `<validation algorithm="HMACSHA256" />`, "").Replace(plain),
	} {
		ring := ringOf(t, []tls.Certificate{right}, element)
		if err := ring.Check(at(ringTime)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		unprotects(t, at(ringTime), ring, protect(t, at(ringTime), ring), "opened")
	}
}
