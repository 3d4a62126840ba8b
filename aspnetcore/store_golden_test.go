package aspnetcore

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
)

// A goldenRecord is what .NET has left at a key.
type goldenRecord struct {
	Type   string
	Hash   map[string]string // data is data_hex
	String string            `json:"string_hex"`
	PTTL   int64
	Ticket *goldenTicket
}

type goldenCall struct {
	Name      string
	Now       time.Time
	CacheKey  ticketstore.Key `json:"cache_key"`
	RedisKey  string          `json:"redis_key"`
	Call      string
	Commands  [][]string
	Exception string

	// set and read
	Options struct {
		Absolute *time.Time `json:"absolute_expiration"`
		Relative float64    `json:"absolute_expiration_relative_to_now_seconds"`
		Sliding  float64    `json:"sliding_expiration_seconds"`
	}
	ValueHex   *string `json:"value_hex"`
	PTTLBefore int64   `json:"pttl_before"`
	Found      bool
	Writes     bool // at this call
	Record     goldenRecord

	// Commands in set and read, a goldenRecord in ticket_store.
	Before json.RawMessage

	// ticket_store
	ReturnedTicket *goldenTicket `json:"returned_ticket"`
	After          goldenRecord
}

func (c *goldenCall) before(t testing.TB) (commands [][]string) {
	t.Helper()
	if len(c.Before) > 0 {
		if err := json.Unmarshal(c.Before, &commands); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
	}
	return commands
}

type goldenRedis struct {
	ConnectCommands [][]string `json:"connect_commands"`
	Set, Read       []goldenCall
	TicketStore     []goldenCall `json:"ticket_store"`
}

// A replayer sends what .NET has sent, with its dates moved to those of a
// Redis: by nothing on miniredis, whose clock stands at the recorded time, and
// by years on a real one.
type replayer struct {
	*site
	by time.Duration
}

// at starts at the recorded time now, with an empty Redis.
func (b *backend) at(t testing.TB, now time.Time, cfg StoreConfig) *replayer {
	t.Helper()
	b = b.another(t)
	if b.mini != nil {
		b.fixed = now
		b.mini.SetTime(now)
	}
	by := b.now().Sub(now)
	if by < 0 {
		by -= time.Second - 1 // rounded down
	}
	return &replayer{newSite(t, b, cfg), by.Truncate(time.Second)}
}

func (r *replayer) time(recorded time.Time) time.Time { return recorded.Add(r.by) }

// send sends a recorded command. That one fails may be what it shows.
func (r *replayer) send(command []string, key ticketstore.Key, recordedKey string) {
	r.tb.Helper()
	var args []any
	for i, arg := range command {
		if h, ok := strings.CutPrefix(arg, "hex:"); ok {
			arg = string(unhex(r.tb, h))
		}
		switch {
		case i > 0 && arg == recordedKey:
			arg = r.recordKey(key)
		case i > 2 && i%2 == 1: // a value of HSET and HMSET
			arg = r.moved(command[i-1], arg)
		}
		args = append(args, arg)
	}
	if err := r.do(args...).Err(); err != nil && !strings.HasPrefix(err.Error(), "WRONGTYPE") {
		r.tb.Fatalf("%q: %v", args, err)
	}
}

// moved returns the value of a field with its dates moved.
func (r *replayer) moved(field, value string) string {
	if n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); field == "absexp" && err == nil && n > 0 && n < 1e18 {
		return strings.Replace(value, strings.TrimSpace(value), strconv.FormatInt(n+int64(r.by/100), 10), 1)
	}
	if field != "data" {
		return value
	}
	w, err := readTicket([]byte(value))
	if err != nil {
		return value
	}
	r.move(w)
	b, err := w.bytes()
	if err != nil {
		r.tb.Fatal(err)
	}
	return string(b)
}

func (r *replayer) move(w *wireTicket) {
	for i, it := range w.items {
		if at, ok := parseDate(it.value); ok && (it.key == itemIssued || it.key == itemExpires) {
			w.items[i].value = formatDate(r.time(at))
		}
	}
}

// load puts a recorded record into Redis.
func (r *replayer) load(key ticketstore.Key, rec goldenRecord) {
	r.tb.Helper()
	name := r.recordKey(key)
	r.unlink(key)
	switch rec.Type {
	case "none":
		return
	case "string":
		r.do("SET", name, unhex(r.tb, rec.String))
	case "hash":
		r.do(append([]any{"HSET", name}, flat(r.wanted(rec))...)...)
	default:
		r.tb.Fatalf("a record of type %q", rec.Type)
	}
	if rec.PTTL > 0 {
		r.do("PEXPIRE", name, rec.PTTL)
	}
}

// wanted returns the fields of a recorded hash.
func (r *replayer) wanted(rec goldenRecord) map[string]string {
	fields := map[string]string{}
	for f, v := range rec.Hash {
		if name, ok := strings.CutSuffix(f, "_hex"); ok {
			f, v = name, string(unhex(r.tb, v))
		}
		fields[f] = r.moved(f, v)
	}
	return fields
}

func flat(m map[string]string) (args []any) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		args = append(args, k, m[k])
	}
	return args
}

// wantRecord checks what is at key, but for our own field.
func (r *replayer) wantRecord(what string, key ticketstore.Key, rec goldenRecord) {
	r.tb.Helper()
	name := r.recordKey(key)
	kind := r.client.Type(r.ctx(r.tb), name).Val()
	if kind != rec.Type {
		r.tb.Errorf("%s: got a %s, want a %s", what, kind, rec.Type)
		return
	}
	switch kind {
	case "none":
		return
	case "string":
		if got := r.client.Get(r.ctx(r.tb), name).Val(); got != string(unhex(r.tb, rec.String)) {
			r.tb.Errorf("%s: got the string %q, want %s in hex", what, got, rec.String)
		}
	case "hash":
		got := r.fields(key)
		delete(got, "ticketstore")
		if want := r.wanted(rec); !maps.Equal(got, want) {
			r.tb.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	if want := time.Duration(rec.PTTL) * time.Millisecond; rec.PTTL < 0 {
		if got := r.ttl(key); got >= 0 {
			r.tb.Errorf("%s: got a TTL of %v, want none", what, got)
		}
	} else {
		r.wantTTL(what, key, want)
	}
}

// nameSerializer is for applications whose users are known by name.
var nameSerializer = Serializer{SubjectClaim: defaultNameType}

// wantTicket compares with a recorded ticket, whose dates are moved.
func (r *replayer) wantTicket(what string, got *ticketstore.Ticket, recorded *goldenTicket, s Serializer) {
	r.tb.Helper()
	w := recorded.wire()
	r.move(w)
	want, err := s.fromWire(w)
	if err != nil {
		r.tb.Errorf("%s: %v", what, err)
		return
	}
	want.ID, want.Revision = got.ID, got.Revision
	if !reflect.DeepEqual(got, want) {
		r.tb.Errorf("%s: got\n%+v, want\n%+v", what, got, want)
	}
}

// says checks what Retrieve answers: "ticket", "nothing", "undecodable", or
// "foreign", which is undecodable and says what to check.
func (r *replayer) says(what string, key ticketstore.Key, want string) *ticketstore.Ticket {
	r.tb.Helper()
	tk, err := r.Retrieve(r.ctx(r.tb), key)
	var got string
	switch {
	case err == nil:
		got = "ticket"
	case errors.Is(err, ticketstore.ErrNotFound):
		got = "nothing"
	case errors.Is(err, ticketstore.ErrUndecodable) && strings.Contains(err.Error(), "check InstanceName and Prefix"):
		got = "foreign"
	case errors.Is(err, ticketstore.ErrUndecodable):
		got = "undecodable"
	}
	if got != want {
		r.tb.Errorf("%s: Retrieve: got %s (%v), want %s", what, got, err, want)
	}
	if (err == nil) != (tk != nil) {
		r.tb.Errorf("%s: Retrieve: got %v and %v", what, tk, err)
	}
	return tk
}

func TestGoldenConnect(t *testing.T) {
	var golden goldenRedis
	loadGolden(t, "redis_records.json", &golden)
	wantCount(t, "connect_commands", len(golden.ConnectCommands), 14)
	last := golden.ConnectCommands[len(golden.ConnectCommands)-1]
	if want := []string{"HMGET", "shop:warm-up", "absexp", "sldexp", "data"}; !slices.Equal(last, want) {
		t.Errorf("got %q, want %q: the fields that .NET reads", last, want)
	}
}

// Of what RedisCache.Set writes, ours reads the same expiries and data, and
// Remove leaves nothing that .NET would find. With a ticket for the data it is
// a session.
func TestGoldenSet(t *testing.T) {
	var golden goldenRedis
	loadGolden(t, "redis_records.json", &golden)
	eachBackend(t, func(t *testing.T, b *backend) {
		wantCount(t, "set", len(golden.Set), 20)
		answers := map[string]int{}
		for _, c := range golden.Set {
			if b.mini == nil && c.Options.Sliding > 0 && c.Options.Sliding < 10 {
				// The clock of a real Redis runs: gone before a busy machine has read it.
				answers["undecodable"]++
				answers["ticket"]++
				continue
			}
			for _, asTicket := range []bool{false, true} {
				what := fmt.Sprintf("%s, ticket %v", c.Name, asTicket)
				r := b.at(t, c.Now, StoreConfig{})
				key := c.CacheKey
				for _, command := range c.before(t) {
					r.send(command, key, c.RedisKey)
				}
				value := unhex(t, *c.ValueHex)
				if asTicket {
					value = dotnetTicket(t, "alice", c.Now, c.Now.Add(24*time.Hour))
				}
				for _, command := range c.Commands {
					command = slices.Clone(command)
					if asTicket && command[0] == "HMSET" {
						command[7] = string(value)
					}
					r.send(command, key, c.RedisKey)
				}
				rec := c.Record
				if asTicket && rec.Type == "hash" {
					rec.Hash = maps.Clone(rec.Hash)
					rec.Hash["data_hex"] = hex.EncodeToString(value)
				}
				r.wantRecord(what+", written", key, rec)

				want := "undecodable"
				switch {
				case c.Record.Type == "none":
					want = "nothing"
				case c.Record.Type == "string":
					want = "foreign"
				case asTicket || c.Name == "absolute-only-ticket":
					want = "ticket"
				}
				answers[want]++
				r.says(what, key, want)
				switch reply, err := r.read(r.ctx(t), key); {
				case err != nil:
					t.Errorf("%s: %v", what, err)
				case want == "nothing":
					if reply.live() {
						t.Errorf("%s: got %+v, want nothing", what, reply)
					}
				default:
					sliding := time.Duration(c.Options.Sliding * float64(time.Second))
					if want == "foreign" {
						sliding = 0
					} else if got, want := reply.data, r.fields(key)["data"]; string(got) != want {
						t.Errorf("%s: got data %q, want %q", what, got, want)
					}
					if reply.sliding != sliding {
						t.Errorf("%s: got sliding %v, want %v", what, reply.sliding, sliding)
					}
				}
				if want == "ticket" && c.Options.Sliding > 0 {
					pttl := min(c.Options.Sliding, 24*3600)
					if c.Options.Absolute != nil {
						pttl = min(pttl, c.Options.Absolute.Sub(c.Now).Seconds())
					}
					rec.PTTL = int64(pttl * 1000)
				}
				r.wantRecord(what+", read", key, rec)

				if err := r.Remove(r.ctx(t), key); err != nil {
					t.Errorf("%s: Remove: %v", what, err)
				}
				r.wantDead(what, "alice", key)
				if left := r.fields(key); len(left) > 0 {
					delete(left, "note") // another's
					if !maps.Equal(left, map[string]string{"ticketstore": "gone"}) {
						t.Errorf("%s: got %q, want the tombstone alone", what, left)
					}
					if got := r.ttl(key); got <= 0 || got > 15*24*time.Hour {
						t.Errorf("%s: got a TTL of %v for the tombstone", what, got)
					}
				}
			}
		}
		if want := map[string]int{"nothing": 6, "foreign": 2, "undecodable": 15, "ticket": 17}; !maps.Equal(answers, want) {
			t.Errorf("got answers %v, want %v", answers, want)
		}
		// absexp is as .NET has it. With an offset .NET's is shifted by that,
		// which no ticket has.
		n := 0
		for _, c := range golden.Set {
			at := c.Now.Add(time.Duration(c.Options.Relative) * time.Second)
			if c.Options.Absolute != nil && c.Options.Relative == 0 {
				at = *c.Options.Absolute
			}
			_, offset := at.Zone()
			for _, command := range c.Commands {
				if command[0] == "HMSET" && command[3] != ticks0 {
					n++
					if got := strconv.FormatInt(ticks(at.Add(time.Duration(offset)*time.Second)), 10); got != command[3] {
						t.Errorf("%s: got %s ticks, want %s", c.Name, got, command[3])
					}
				}
			}
		}
		wantCount(t, "dates", n, 13)
	})
}

// The application in these tests sends what .NET sends.
func TestAppIsDotNet(t *testing.T) {
	var golden goldenRedis
	loadGolden(t, "redis_records.json", &golden)
	compared := 0
	for _, c := range golden.Set {
		if c.Exception != "" || c.Options.Relative != 0 || c.Name == "absolute-offset" || c.Name == "absolute-under-a-second" || c.Name == "absolute-only-ticket" {
			continue // what it never does
		}
		compared++
		r := miniBackend(t).at(t, c.Now, StoreConfig{})
		var at time.Time
		if c.Options.Absolute != nil {
			at = *c.Options.Absolute
		}
		got := fmt.Sprintf("%s", r.setCommands(c.CacheKey, unhex(t, *c.ValueHex), at, time.Duration(c.Options.Sliding*float64(time.Second))))
		if want := strings.ReplaceAll(fmt.Sprint(c.Commands), c.RedisKey, r.recordKey(c.CacheKey)); got != want {
			t.Errorf("%s: got %s, want %s", c.Name, got, want)
		}
	}
	wantCount(t, "compared", compared, 12)

	var flows goldenFlows
	loadGolden(t, "flows.json", &flows)
	first, renewed := flows.step(t, "cookie-life", "sign-in"), flows.step(t, "cookie-life", "request-past-half")
	data := unhex(t, first.record().Hash["data_hex"])
	if got := slid(t, data, renewed.Now, renewed.Now.Add(14*24*time.Hour)); hex.EncodeToString(got) != renewed.record().Hash["data_hex"] {
		t.Errorf("renewal: got %x, want %s", got, renewed.record().Hash["data_hex"])
	}
}

// Where the record has numbers that no RedisCache writes: .NET fails on it, or
// deletes it with this read.
var numbersOfNoCache = []string{
	"absexp-not-a-number", "absexp-not-a-number-sliding", "sldexp-not-a-number", "absexp-out-of-range", "padded-numbers", "sldexp-zero", "sldexp-negative",
}

// What RedisCache reads and Remove ends, ours does. Data of these cases are no
// tickets, so each is also read with one.
func TestGoldenReadRecords(t *testing.T) {
	var golden goldenRedis
	loadGolden(t, "redis_records.json", &golden)
	eachBackend(t, func(t *testing.T, b *backend) {
		wantCount(t, "read", len(golden.Read), 42)
		answers := map[string]int{}
		for _, c := range golden.Read {
			for _, asTicket := range []bool{false, true} {
				what := fmt.Sprintf("%s, ticket %v", c.Name, asTicket)
				r := b.at(t, c.Now, StoreConfig{})
				key := c.CacheKey
				data := ""
				for _, command := range c.before(t) {
					for i, arg := range command {
						if asTicket && arg == "data" {
							// It expires later than the record, so that the record's own dates count.
							data = string(dotnetTicket(t, "alice", c.Now, c.Now.Add(24*time.Hour)))
							command = slices.Concat(command[:i+1], []string{data}, command[i+2:])
						}
					}
					r.send(command, key, c.RedisKey)
				}
				if c.PTTLBefore == -1 || c.PTTLBefore == -2 {
					if got := r.ttl(key); int64(got) != c.PTTLBefore {
						t.Errorf("%s: before: got a TTL of %v, want %v", what, got, c.PTTLBefore)
					}
				} else {
					r.wantTTL(what+", before", key, time.Duration(c.PTTLBefore)*time.Millisecond)
				}
				kind := r.client.Type(r.ctx(t), r.recordKey(key)).Val()

				if strings.HasPrefix(c.Call, "Remove") {
					answers["removed"]++
					if err := r.Remove(r.ctx(t), key); err != nil {
						t.Errorf("%s: Remove: %v", what, err)
					}
					if got, want := r.client.Exists(r.ctx(t), r.recordKey(key)).Val() == 1, kind != "none"; got != want {
						t.Errorf("%s: got a tombstone %v, want %v", what, got, want)
					}
					r.wantDead(what, "alice", key)
					continue
				}

				_, hasData := r.wanted(c.Record)["data"]
				byDotNet := c.Found || strings.HasPrefix(c.Call, "Refresh") && hasData
				want := "nothing"
				odd := slices.Contains(numbersOfNoCache, c.Name)
				switch {
				case kind == "string":
					want = "foreign"
				case odd: // .NET throws, or reads it for the last time
					want = "undecodable"
				case byDotNet && data != "":
					want = "ticket"
				case byDotNet:
					want = "undecodable"
				}
				answers[want]++
				if odd {
					answers["odd"]++
				}
				r.says(what, key, want)

				// What is there afterwards.
				rec := c.Record
				switch {
				case want != "ticket" && c.Writes:
					continue // .NET extends without a look at what is there
				case odd && data != "":
					got := r.fields(key)
					if got["data"] != r.moved("data", data) {
						t.Errorf("%s: got %q, want the ticket", what, got)
					}
					continue
				case want == "ticket":
					if rec.Type == "hash" {
						rec.Hash = maps.Clone(rec.Hash)
						rec.Hash["data_hex"] = hex.EncodeToString([]byte(data))
					}
				}
				r.wantRecord(what+", read", key, rec)
			}
		}
		want := map[string]int{"removed": 8, "nothing": 14, "foreign": 6, "undecodable": 35, "ticket": 21, "odd": 14}
		if !maps.Equal(answers, want) {
			t.Errorf("got answers %v, want %v", answers, want)
		}
	})
}

// The usual ticket store, step by step: ours reads what it has written, and
// what ours does to such a record has the form that .NET gives it.
func TestGoldenTicketStore(t *testing.T) {
	var golden goldenRedis
	loadGolden(t, "redis_records.json", &golden)
	eachBackend(t, func(t *testing.T, b *backend) {
		wantCount(t, "ticket_store", len(golden.TicketStore), 15)
		answers := map[string]int{}
		for _, c := range golden.TicketStore {
			r := b.at(t, c.Now, StoreConfig{Serializer: nameSerializer})
			key := ticketstore.Key(strings.TrimPrefix(c.RedisKey, "shop:"))
			var before goldenRecord
			if err := json.Unmarshal(c.Before, &before); err != nil {
				t.Fatal(err)
			}
			if c.Name == "renew-without-expires" {
				before.PTTL = c.After.PTTL // the EXPIRE in between is not recorded
			}
			r.load(key, before)
			r.wantRecord(c.Name+", before", key, before)
			for _, command := range c.Commands {
				r.send(command, key, c.RedisKey)
			}
			r.wantRecord(c.Name+", after", key, c.After)

			want := "undecodable"
			var ticket *wireTicket
			if h, ok := c.After.Hash["data_hex"]; ok {
				ticket, _ = readTicket(unhex(t, h))
			}
			switch {
			case c.After.Type == "none":
				want = "nothing"
			case ticket != nil && ticket.items != nil && !strings.HasSuffix(c.Name, "without-expires"):
				want = "ticket"
			}
			answers[want]++
			tk := r.says(c.Name, key, want)
			if want != "ticket" {
				if err := r.Remove(r.ctx(t), key); err != nil {
					t.Errorf("%s: Remove: %v", c.Name, err)
				}
				r.wantDead(c.Name, "alice", key)
				continue
			}
			if c.ReturnedTicket != nil {
				answers["returned"]++
				r.wantTicket(c.Name, tk, c.ReturnedTicket, nameSerializer)
			}
			r.wantRecord(c.Name+", read", key, c.After)

			// Renewed by us, it is what .NET would have written, and our field.
			tk.IssuedAt = r.now().UTC()
			tk.ExpiresAt = r.now().UTC().Add(14 * 24 * time.Hour)
			if err := r.Renew(r.ctx(t), key, tk); err != nil {
				t.Errorf("%s: Renew: %v", c.Name, err)
				continue
			}
			expires := tk.ExpiresAt.Truncate(time.Second)
			got := r.fields(key)
			w, err := readTicket([]byte(got["data"]))
			if err != nil {
				t.Fatalf("%s: what Renew wrote: %v", c.Name, err)
			}
			items := map[string]string{}
			for _, it := range w.items {
				items[it.key] = it.value
			}
			if items[itemExpires] != formatDate(expires) || !reflect.DeepEqual(w.identities, ticket.identities) || w.scheme != ticket.scheme {
				t.Errorf("%s: Renew wrote %+v, want %+v, until %v", c.Name, w, ticket, expires)
			}
			fields := map[string]string{
				"absexp": strconv.FormatInt(ticks(expires), 10), "sldexp": ticks0, "data": got["data"],
				"ticketstore": fmt.Sprintf("1 %s %d alice", tk.Revision[40:], expires.UnixMilli()),
			}
			if !maps.Equal(got, fields) {
				t.Errorf("%s: Renew wrote %q, want %q", c.Name, got, fields)
			}
			r.wantTTL(c.Name+", renewed", key, 14*24*time.Hour)
			if again := r.says(c.Name+", renewed", key, "ticket"); again != nil && again.Revision != tk.Revision {
				t.Errorf("%s: got revision %s, want %s", c.Name, again.Revision, tk.Revision)
			}
			r.wantListed(c.Name, "alice", key)

			if err := r.Remove(r.ctx(t), key); err != nil {
				t.Errorf("%s: Remove: %v", c.Name, err)
			}
			r.wantDead(c.Name, "alice", key)
		}
		if want := map[string]int{"nothing": 3, "undecodable": 5, "ticket": 7, "returned": 2}; !maps.Equal(answers, want) {
			t.Errorf("got answers %v, want %v", answers, want)
		}
	})
}

// What Store writes is what .NET's Set does, and our field.
func TestStoreWritesAsDotNet(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		tk := ticketstore.NewTicket("alice smith")
		now := s.now()
		tk.SignedInAt, tk.IssuedAt, tk.ExpiresAt = now, now, now.Add(time.Hour+700*time.Millisecond)
		key, err := s.Store.Store(s.ctx(t), tk)
		if err != nil {
			t.Fatal(err)
		}
		expires := tk.ExpiresAt.Truncate(time.Second)
		got := s.fields(key)
		want := map[string]string{
			"absexp": strconv.FormatInt(ticks(expires), 10), "sldexp": ticks0, "data": got["data"],
			"ticketstore": fmt.Sprintf("1 %s %d alice smith", tk.Revision[40:], expires.UnixMilli()),
		}
		if !maps.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		s.wantTTL("stored", key, expires.Sub(s.now()))
		if w, err := readTicket([]byte(got["data"])); err != nil {
			t.Errorf("got %+v, %v, want a ticket", w, err)
		}
		if len(key) != len(defaultPrefix)+43 || !strings.HasPrefix(string(key), defaultPrefix) || tk.ID != sessionID(key) {
			t.Errorf("got key of %d bytes and ID %s", len(key), tk.ID)
		}
		c := s.count()
		s.retrieve(key)
		if got, want := c.take(), "hmget=1"; got != want {
			t.Errorf("read: got %s, want %s", got, want)
		}
	})
}

type flowStep struct {
	Name          string
	Now           time.Time
	Exception     string
	RedisCommands [][]string              `json:"redis_commands"`
	RedisAfter    map[string]goldenRecord `json:"redis_after"`
	ByHand        []string                `json:"redis_by_hand"`
	CookieKey     ticketstore.Key         `json:"session_key_in_cookie"`
}

// record returns the only one.
func (s *flowStep) record() goldenRecord {
	for _, rec := range s.RedisAfter {
		return rec
	}
	return goldenRecord{Type: "none"}
}

func (s *flowStep) key() ticketstore.Key {
	for name := range s.RedisAfter {
		return ticketstore.Key(strings.TrimPrefix(name, "shop:"))
	}
	return ""
}

type goldenFlows struct {
	Flows []struct {
		Name, Scheme string
		InstanceName string `json:"instance_name"`
		Steps        []flowStep
	}
}

func (g *goldenFlows) step(t testing.TB, flow, step string) flowStep {
	t.Helper()
	for _, f := range g.Flows {
		for _, s := range f.Steps {
			if f.Name == flow && s.Name == step {
				return s
			}
		}
	}
	t.Fatalf("no step %s of flow %s", step, flow)
	return flowStep{}
}

func serializerOf(scheme string) Serializer {
	if scheme == "Identity.Application" {
		return Serializer{}
	}
	return nameSerializer
}

// After each step of each flow, ours finds the sessions that .NET has left in
// Redis, and no other.
func TestGoldenFlows(t *testing.T) {
	var golden goldenFlows
	loadGolden(t, "flows.json", &golden)
	eachBackend(t, func(t *testing.T, b *backend) {
		wantCount(t, "flows", len(golden.Flows), 12)
		steps, answers := 0, map[string]int{}
		for _, f := range golden.Flows {
			keys := map[ticketstore.Key]bool{}
			for _, step := range f.Steps {
				steps++
				what := f.Name + ", " + step.Name
				r := b.at(t, step.Now, StoreConfig{Serializer: serializerOf(f.Scheme)})
				if f.InstanceName != "shop:" {
					t.Fatalf("%s: instance name %q", what, f.InstanceName)
				}
				if step.CookieKey != "" {
					keys[step.CookieKey] = true
				}
				for name, rec := range step.RedisAfter {
					key := ticketstore.Key(strings.TrimPrefix(name, f.InstanceName))
					keys[key] = true
					r.load(key, rec)
				}
				for key := range keys {
					rec, there := step.RedisAfter["shop:"+string(key)]
					want := "undecodable"
					switch {
					case !there:
						want = "nothing"
					case rec.Type == "string":
						want = "foreign"
					case rec.Hash["data_hex"] == "":
						want = "nothing" // there is none
					case step.Name == "request-at-expiry":
						want = "nothing" // .NET takes it as valid to this very instant
					case rec.Ticket != nil:
						want = "ticket"
					}
					answers[want]++
					tk := r.says(what, key, want)
					if tk == nil {
						continue
					}
					r.wantTicket(what, tk, rec.Ticket, serializerOf(f.Scheme))
					r.wantRecord(what, key, rec)
					r.wantListed(what, tk.Subject, key)
					r.wantCount(what, 1, 1)
				}
			}
		}
		wantCount(t, "steps", steps, 68)
		if want := map[string]int{"ticket": 40, "nothing": 23, "undecodable": 2, "foreign": 2}; !maps.Equal(answers, want) {
			t.Errorf("got answers %v, want %v", answers, want)
		}
	})
}

// Where .NET brings a removed session back, ours does not let it: the recorded
// commands of its renewal come after our removal.
func TestGoldenRenewRace(t *testing.T) {
	var golden goldenFlows
	loadGolden(t, "flows.json", &golden)
	signIn, race := golden.step(t, "renew-race", "sign-in"), golden.step(t, "renew-race", "renewal-after-removal")
	key := signIn.key()
	eachBackend(t, func(t *testing.T, b *backend) {
		for _, end := range []string{"Remove", "Revoke"} {
			for _, first := range []string{"Retrieve", "Sessions", "Remove"} {
				what := end + ", then " + first
				r := b.at(t, race.Now, StoreConfig{Serializer: nameSerializer})
				ctx := r.ctx(t)
				for _, command := range signIn.RedisCommands {
					r.send(command, key, "shop:"+string(key))
				}
				tk := r.retrieve(key)
				sent := 0
				for _, command := range race.RedisCommands {
					switch command[0] {
					case "HMGET", "HMSET", "EXPIRE":
						sent++
						r.send(command, key, "shop:"+string(key))
					case "DEL": // the removal is ours
						var err error
						if end == "Remove" {
							err = r.Remove(ctx, key)
						} else {
							err = r.Revoke(ctx, "alice", tk.ID)
						}
						if err != nil {
							t.Fatalf("%s: %v", what, err)
						}
					}
				}
				wantCount(t, "commands", sent, 3)
				fields := r.fields(key)
				if got := fields["ticketstore"]; got != gone || fields["data"] == "" {
					t.Errorf("%s: got %q, want .NET's renewal and our %q", what, fields, gone)
				}
				switch first {
				case "Retrieve":
					r.says(what, key, "nothing")
				case "Sessions":
					r.wantListed(what, "alice")
					r.says(what, key, "nothing")
				case "Remove":
					if err := r.Remove(ctx, key); err != nil {
						t.Errorf("%s: %v", what, err)
					}
				}
				if got, want := r.fields(key), map[string]string{"ticketstore": gone}; !maps.Equal(got, want) {
					t.Errorf("%s: got %q, want %q", what, got, want)
				}
				r.wantTTL(what, key, 14*24*time.Hour) // for as long as that renewal
				r.wantDead(what, "alice", key)
				r.wantCount(what, 0, 0)
			}
		}
	})
}

// SignOut and SignIn in one request of .NET use one key for two users: what
// was alice's is bob's, whatever ours knew.
func TestGoldenSignOutThenSignIn(t *testing.T) {
	var golden goldenFlows
	loadGolden(t, "flows.json", &golden)
	for _, flow := range []struct{ name, first, second, old, new string }{
		{"sign-out-then-sign-in", "sign-in", "sign-out-and-in", "alice", "bob"},
		{"cookie-life", "renewal-with-fraction", "sign-in-as-another", "alice", "bob"},
		{"identity-life", "renewal-with-fraction", "sign-in-as-another", "0f8fad5b-d9cb-469f-a165-70867728950e", "11111111-0000-4000-8000-000000000002"},
	} {
		first, second := golden.step(t, flow.name, flow.first), golden.step(t, flow.name, flow.second)
		serializer := nameSerializer
		if flow.name == "identity-life" {
			serializer = Serializer{}
		}
		t.Run(flow.name, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, b *backend) {
				for _, seen := range []bool{true, false} {
					what := fmt.Sprintf("seen before %v", seen)
					r := b.at(t, second.Now, StoreConfig{Serializer: serializer})
					ctx, key := r.ctx(t), first.key()
					r.load(key, first.record())
					if seen {
						r.retrieve(key)
						r.wantListed(what, flow.old, key)
					}
					for _, command := range second.RedisCommands {
						r.send(command, key, "shop:"+string(key))
					}
					tk := r.retrieve(key)
					if _, ok := second.record().Hash["data_hex"]; !ok || second.record().Ticket == nil {
						t.Fatal("no ticket is recorded")
					}
					r.wantTicket(what, tk, second.record().Ticket, serializer)
					if want := second.record().Ticket; want != nil && tk.Subject == flow.old {
						t.Errorf("%s: got %s, want %s", what, tk.Subject, flow.new)
					}
					r.wantListed(what, flow.old)
					r.wantListed(what, tk.Subject, key)
					r.wantCount(what, 1, 1)
					if err := r.Revoke(ctx, flow.old, tk.ID); !errors.Is(err, ticketstore.ErrNotFound) {
						t.Errorf("%s: Revoke by the old: got %v, want ErrNotFound", what, err)
					}
					r.says(what, key, "ticket")
					if err := r.Revoke(ctx, tk.Subject, tk.ID); err != nil {
						t.Errorf("%s: Revoke: %v", what, err)
					}
					r.wantDead(what, tk.Subject, key)
				}
			})
		})
	}
}

// DEL by hand ends a session for both; listing repairs the index and the counts.
func TestGoldenRemovedByAdmin(t *testing.T) {
	var golden goldenFlows
	loadGolden(t, "flows.json", &golden)
	for flow, serializer := range map[string]Serializer{"removed-by-admin": nameSerializer, "identity-removed-by-admin": {}} {
		signIn, del := golden.step(t, flow, "sign-in"), golden.step(t, flow, "delete")
		key := signIn.key()
		t.Run(flow, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, b *backend) {
				r := b.at(t, signIn.Now, StoreConfig{Serializer: serializer})
				for _, command := range signIn.RedisCommands {
					r.send(command, key, "shop:"+string(key))
				}
				tk := r.retrieve(key)
				r.wantListed("before", tk.Subject, key)
				r.send(del.ByHand, key, "shop:"+string(key))
				r.says("deleted", key, "nothing")
				r.wantCount("deleted", 1, 1) // until it is listed
				if sessions, _, err := r.SessionPage(r.ctx(t), "", 10); err != nil || len(sessions) != 0 {
					t.Errorf("SessionPage: got %+v, %v, want none", sessions, err)
				}
				r.wantListed("deleted", tk.Subject)
				r.wantCount("listed since", 0, 0)
				r.wantDead("deleted", tk.Subject, key)
			})
		})
	}
}
