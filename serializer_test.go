package ticketstore

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestJSONGolden(t *testing.T) {
	const file = "testdata/ticket_v1.json"
	want := fullTicket()
	got, err := JSONSerializer{}.Serialize(want)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != string(golden) {
		t.Errorf("got\n%s\nwant\n%s\nA change of the format needs a new version.", got, golden)
	}
	read, err := JSONSerializer{}.Deserialize(want.ID, golden)
	if err != nil {
		t.Fatal(err)
	}
	want.Subject, want.Revision = "", "" // the store's
	if !reflect.DeepEqual(read, want) {
		t.Errorf("got %+v, want %+v", read, want)
	}
}

// A ticket that was written before there was an AuthenticatedAt.
func TestJSONGoldenOfOld(t *testing.T) {
	golden, err := os.ReadFile("testdata/ticket_v1_old.json")
	if err != nil {
		t.Fatal(err)
	}
	want := fullTicket()
	want.AuthenticatedAt, want.Subject, want.Revision = time.Time{}, "", ""
	want.Links, want.LinkedAt = nil, time.Time{}
	read, err := JSONSerializer{}.Deserialize(want.ID, golden)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read, want) {
		t.Errorf("got %+v, want %+v", read, want)
	}
	read.Subject = want.ID // set by a store
	if got, err := (JSONSerializer{}).Serialize(read); err != nil || string(got)+"\n" != string(golden) {
		t.Errorf("written again: got %s, %v, want %s", got, err, golden)
	}
}

func TestJSONIsCompact(t *testing.T) {
	got, err := JSONSerializer{}.Serialize(NewTicket("alice"))
	if want := `{"v":1}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestJSONTimes(t *testing.T) {
	tk := NewTicket("alice")
	tk.ExpiresAt = time.Date(2026, 1, 2, 3, 4, 5, 999_999_999, time.FixedZone("", 3600))
	got, err := JSONSerializer{}.Serialize(tk)
	if want := `{"v":1,"expiresAt":1767319445999}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	tk.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := (JSONSerializer{}).Serialize(tk); !errors.Is(err, ErrInvalidTicket) {
		t.Errorf("year 10000: got %v, want ErrInvalidTicket", err)
	}
}

func TestJSONSeenFrom(t *testing.T) {
	chrome, firefox := "Mozilla/5.0 Chrome/131", "Mozilla/5.0 Firefox/133"
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, row := range []struct {
		device, seen Device
		want         string
	}{
		{Device{chrome, a}, Device{}, ``},
		{Device{chrome, a}, Device{chrome, b}, `"seenFrom":{"addr":"192.0.2.2"}`},
		{Device{chrome, a}, Device{firefox, b}, `"seenFrom":{"userAgent":"` + firefox + `","addr":"192.0.2.2"}`},
		{Device{chrome, a}, Device{chrome, netip.Addr{}}, `"seenFrom":{}`},
		{Device{chrome, a}, Device{"", b}, `"seenFrom":{"userAgent":"","addr":"192.0.2.2"}`},
		{Device{"", a}, Device{"", b}, `"seenFrom":{"addr":"192.0.2.2"}`},
		{Device{"", a}, Device{chrome, b}, `"seenFrom":{"userAgent":"` + chrome + `","addr":"192.0.2.2"}`},
	} {
		tk := NewTicket("alice")
		tk.Device, tk.SeenFrom = row.device, row.seen
		data, err := JSONSerializer{}.Serialize(tk)
		if err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(string(data[:len(data)-1]), `},`)
		if got != row.want {
			t.Errorf("got %s, want %s", got, row.want)
		}
		tk.Subject = "" // the store's
		if read, err := (JSONSerializer{}).Deserialize("", data); err != nil || !reflect.DeepEqual(read, tk) {
			t.Errorf("%s: got %+v, %v, want %+v", data, read, err, tk)
		}
	}
}

// The error says where the text is that cannot be kept, and nothing of it.
func TestJSONRefusesToWrite(t *testing.T) {
	const bad = "secret\xff"
	claim := func(tk *Ticket) *Claim { return &tk.Identities[0].Claims[1] } // a role
	for want, change := range map[string]func(*Ticket){
		"the subject is empty":                                         func(tk *Ticket) { tk.Subject = "" },
		"the subject is not valid UTF-8":                               func(tk *Ticket) { tk.Subject = bad },
		"Scheme is not valid UTF-8":                                    func(tk *Ticket) { tk.Scheme = bad },
		"Device.UserAgent is not valid UTF-8":                          func(tk *Ticket) { tk.Device.UserAgent = bad },
		"SeenFrom.UserAgent is not valid UTF-8":                        func(tk *Ticket) { tk.SeenFrom.UserAgent = bad },
		"the key of a property is not valid UTF-8":                     func(tk *Ticket) { tk.Properties[bad] = "" },
		`the property "tenant\n" is not valid UTF-8`:                   func(tk *Ticket) { tk.Properties["tenant\n"] = bad },
		"the AuthenticationType of an identity is not valid UTF-8":     func(tk *Ticket) { tk.Identities[0].AuthenticationType = bad },
		"the NameClaimType of an identity is not valid UTF-8":          func(tk *Ticket) { tk.Identities[0].NameClaimType = bad },
		"the RoleClaimType of an identity is not valid UTF-8":          func(tk *Ticket) { tk.Identities[0].RoleClaimType = bad },
		"the BootstrapContext of an identity is not valid UTF-8":       func(tk *Ticket) { tk.Identities[0].BootstrapContext = bad },
		"the type of a claim is not valid UTF-8":                       func(tk *Ticket) { claim(tk).Type = bad },
		`the value of the claim "email" is not valid UTF-8`:            func(tk *Ticket) { *claim(tk) = Claim{Type: "email", Value: bad} },
		"the value of the claim is not valid UTF-8":                    func(tk *Ticket) { *claim(tk) = Claim{Value: bad} },
		`the ValueType of the claim "email" is not valid UTF-8`:        func(tk *Ticket) { *claim(tk) = Claim{Type: "email", ValueType: bad} },
		`the Issuer of the claim "email" is not valid UTF-8`:           func(tk *Ticket) { *claim(tk) = Claim{Type: "email", Issuer: bad} },
		`the OriginalIssuer of the claim "email" is not valid UTF-8`:   func(tk *Ticket) { *claim(tk) = Claim{Type: "email", OriginalIssuer: bad} },
		`the key of a property of the claim "email" is not valid UTF`:  func(tk *Ticket) { *claim(tk) = Claim{Type: "email", Properties: map[string]string{bad: ""}} },
		`a property of the claim "email" is not valid UTF-8`:           func(tk *Ticket) { *claim(tk) = Claim{Type: "email", Properties: map[string]string{"k": bad}} },
		`the value of the claim "act" is not valid UTF-8`:              func(tk *Ticket) { tk.Identities[0].Actor.Claims[0] = Claim{Type: "act", Value: bad} },
		`the value of the claim "` + strings.Repeat("é", 100) + `" is`: func(tk *Ticket) { *claim(tk) = Claim{Type: strings.Repeat("é", 1000), Value: bad} },
	} {
		tk := fullTicket()
		change(tk)
		_, err := JSONSerializer{}.Serialize(tk)
		if !errors.Is(err, ErrInvalidTicket) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrInvalidTicket: %s", err, want)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\xff") {
			t.Errorf("the error has the text: %q", err)
		}
	}
}

func TestJSONRefusesToRead(t *testing.T) {
	for data, want := range map[string]string{
		``:                                   "EOF",
		`null`:                               "version 0",
		`{}`:                                 "version 0",
		`[]`:                                 "array",
		`{"v":1`:                             "unexpected EOF",
		`{"v":1} x`:                          "more follows",
		`{"v":1}{}`:                          "more follows",
		`{"v":1,"subject":"alice"}`:          "unknown field",
		`{"v":2,"subject":{"name":"alice"}}`: "version 2; this program reads version 1",
		`{"v":2,"sub":"alice"}`:              "version 2; this program reads version 1",
		`{"v":1,"new":1}`:                    "unknown field",
		`{"v":1,"issuedAt":"now"}`:           "no time in Unix milliseconds",
		`{"v":1,"issuedAt":null}`:            "no time in Unix milliseconds",
		`{"v":1,"issuedAt":1.5}`:             "no time in Unix milliseconds",
		`{"v":1,"endsAt":1e3}`:               "no time in Unix milliseconds",
		`{"v":1,"endsAt":300000000000000}`:   "year 11476",
		`{"v":1,"endsAt":253402300800000}`:   "year 10000",
		`{"v":1,"endsAt":-62167219200001}`:   "year -1",
		`{"v":1,"idleTimeout":"x"}`:          "invalid duration",
		`{"v":1,"idleTimeout":"-5m"}`:        "IdleTimeout",
		`{"v":1,"device":{"addr":"x"}}`:      "ParseAddr",
		"{\"v\":1,\"subject\":\"\xff\"}":     "UTF-8",
		`{"v":1,"identities":[{"actor":` + strings.Repeat(`{"actor":`, 20) + `{}` + strings.Repeat(`}`, 20) + `}]}`: "nested",
	} {
		tk, err := JSONSerializer{}.Deserialize("the-id", []byte(data))
		if !errors.Is(err, ErrUndecodable) || errors.Is(err, ErrInvalidTicket) || tk != nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "the-id") {
			t.Errorf("%s: got %v, %v, want ErrUndecodable with the ID and %q", data, tk, err, want)
		}
	}
}

// otherSerializer is a format of its own: JSON behind a letter.
type otherSerializer struct{ letter string }

func (s otherSerializer) Serialize(t *Ticket) ([]byte, error) {
	b, err := JSONSerializer{}.Serialize(t)
	return append([]byte(s.letter), b...), err
}

func (s otherSerializer) Deserialize(id string, data []byte) (*Ticket, error) {
	rest, ok := strings.CutPrefix(string(data), s.letter)
	if !ok {
		return nil, fmt.Errorf("%w: no %s", ErrUndecodable, s.letter)
	}
	return JSONSerializer{}.Deserialize(id, []byte(rest))
}

type brokenSerializer struct{ Serializer }

var errBroken = errors.New("the keys are out of reach")

func (brokenSerializer) Deserialize(string, []byte) (*Ticket, error) { return nil, errBroken }

func TestReadAlso(t *testing.T) {
	both := ReadAlso(otherSerializer{"x"}, otherSerializer{"y"}, JSONSerializer{})
	if b, err := both.Serialize(NewTicket("alice")); err != nil || !strings.HasPrefix(string(b), "x") {
		t.Errorf("Serialize: got %q, %v, want the first format", b, err)
	}
	for _, data := range []string{`x{"v":1,"scheme":"a"}`, `y{"v":1,"scheme":"a"}`, `{"v":1,"scheme":"a"}`} {
		if tk, err := both.Deserialize("id", []byte(data)); err != nil || tk.Scheme != "a" {
			t.Errorf("%s: got %v, %v", data, tk, err)
		}
	}
	if _, err := both.Deserialize("id", []byte("z")); !errors.Is(err, ErrUndecodable) {
		t.Errorf("no format: got %v, want ErrUndecodable", err)
	}
	broken := ReadAlso(otherSerializer{"x"}, brokenSerializer{}, JSONSerializer{})
	if _, err := broken.Deserialize("id", []byte(`{"v":1}`)); !errors.Is(err, errBroken) || errors.Is(err, ErrUndecodable) {
		t.Errorf("a serializer that cannot answer: got %v, want its error alone", err)
	}
}

// A rolling change of the format, of two instances on one Redis: at each step
// one of them is ahead, and everybody stays signed in at both.
func TestRollingChangeOfFormat(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		before, after := JSONSerializer{}, otherSerializer{"x"}
		readsBoth, writesNew := ReadAlso(before, after), ReadAlso(after, before)
		other := b.another(t)
		cookies := map[string]*http.Cookie{}
		for i, step := range [][2]Serializer{
			{before, before}, {readsBoth, before}, {readsBoth, readsBoth}, {writesNew, readsBoth},
			{writesNew, writesNew}, {after, writesNew}, {after, after},
		} {
			sites := []*site{
				newSiteOn(t, b, b.store(t, RedisConfig{Serializer: step[0]}), Config{}),
				newSiteOn(t, other, other.store(t, RedisConfig{Serializer: step[1]}), Config{}),
			}
			for j, s := range sites {
				user := fmt.Sprintf("user-%d-%d", i, j)
				cookies[user] = s.login(t, user)
			}
			for user, c := range cookies {
				for j, s := range sites {
					if got := s.who(t, c); got != user {
						t.Fatalf("step %d, instance %d: got %q, want %s", i, j, got, user)
					}
				}
				if sessions, err := sites[1].store.Sessions(b.ctx(t), user); err != nil || len(sessions) != 1 || sessions[0].Undecodable {
					t.Fatalf("step %d: got sessions %+v, %v", i, sessions, err)
				}
			}
			// In use, each ticket is written again within RenewAfter.
			b.advance(6 * time.Minute)
		}
	})
}

func FuzzJSON(f *testing.F) {
	golden, err := os.ReadFile("testdata/ticket_v1.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte(`{"v":1}`))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`{"v":1,"identities":[{"actor":{"actor":{}}}],"idleTimeout":"1h","device":{"addr":"::1%eth0"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tk, err := JSONSerializer{}.Deserialize("id", data)
		if err != nil {
			if !errors.Is(err, ErrUndecodable) {
				t.Fatalf("got %v, want ErrUndecodable", err)
			}
			return
		}
		// What is read can be written, and is then read as the same.
		tk.Subject = "alice"
		again, err := JSONSerializer{}.Serialize(tk)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		same, err := JSONSerializer{}.Deserialize("id", again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		same.Subject = "alice"
		third, err := JSONSerializer{}.Serialize(same)
		if err != nil || string(third) != string(again) {
			t.Fatalf("got %s, %v, want %s", third, err, again)
		}
	})
}
