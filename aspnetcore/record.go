package aspnetcore

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
)

// What our own field of a record holds, as the scripts parse it.
const gone = "gone" // the session has ended, and stays so

const (
	unixTicks = 621_355_968e9             // .NET's ticks until 1970
	maxTicks  = 3_155_378_975_999_999_999 // DateTime.MaxValue.Ticks
)

// A record is what Redis has of a session: the hash of RedisCache, and a field
// of ours.
type record struct {
	key     ticketstore.Key
	data    []byte        // the ticket; nil if there is none
	text    string        // the same
	gone    bool          // our field says so
	write   string        // the name of our last write; "0" if there was none
	expiry  int64         // by which the index has the session, Unix ms; 0 if in none
	subject string        // in whose index the session is; empty if in none
	until   time.Time     // the absolute expiry of the record; zero if none
	sliding time.Duration // the idle timeout of the record; 0 if none
	foreign bool          // something that is not a hash has this key in Redis
	odd     bool          // RedisCache has not written its times, or would not read them
}

// recordFields are the fields of a record that are read.
var recordFields = []string{"data", "ticketstore", "absexp", "sldexp"}

// parseRecord returns the record that HMGET of recordFields has found.
func parseRecord(key ticketstore.Key, reply []any, err error) (*record, error) {
	r := &record{key: key, write: "0"}
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		r.data, r.foreign = []byte{}, true
		return r, nil
	}
	if err != nil {
		return nil, redact(err)
	}
	if data, ok := reply[0].(string); ok {
		r.data, r.text = []byte(data), data
	}
	ours, _ := reply[1].(string)
	r.gone = ours == gone
	r.parseIndexed(ours)
	until, ok := parseTicks(reply[2])
	sliding, slides := parseTicks(reply[3])
	r.odd = !ok || !slides || sliding == 0
	if until > 0 {
		r.until = time.UnixMilli((until - unixTicks) / 10_000)
	}
	if sliding > 0 {
		r.sliding = time.Duration(min(sliding, math.MaxInt64/100) * 100)
	}
	return r, nil
}

// parseIndexed reads our field, as the scripts do:
//
//	1 <last write> <expiry in the index> <subject in the index>
func (r *record) parseIndexed(ours string) {
	f := strings.SplitN(ours, " ", 4)
	if len(f) == 4 && f[0] == "1" && consistsOf(f[1], "0123456789abcdefABCDEF") && consistsOf(f[2], "0123456789") && f[3] != "" {
		r.write, r.subject = f[1], f[3]
		r.expiry, _ = strconv.ParseInt(f[2], 10, 64)
	}
}

func consistsOf(s, digits string) bool { return s != "" && strings.Trim(s, digits) == "" }

// redact takes from err what Redis quotes of a command that it does not know,
// or no longer: session keys are secret.
func redact(err error) error {
	var reply redis.Error
	if errors.As(err, &reply) {
		if text, _, quotes := strings.Cut(err.Error(), ", with args beginning with"); quotes {
			return errors.New(text)
		}
	}
	return err
}

// live reports whether there is a session that has not been ended.
func (r *record) live() bool { return r.data != nil && !r.gone }

// indexes reports whether the index has what t, the ticket of r, says.
func (r *record) indexes(t *ticketstore.Ticket) bool {
	return r.subject == t.Subject && r.expiry == t.ExpiresAt.UnixMilli()
}

// revision returns what the scripts compare: a hash of the data, which tells
// what ASP.NET Core has written, and the name of our last write. SHA-1 is the
// hash that scripts have; nothing depends on its being hard to collide.
func revision(data []byte, write string) string {
	sum := sha1.Sum(data)
	return hex.EncodeToString(sum[:]) + write
}

// writeOf returns the name of our last write in a revision.
func writeOf(revision string) string { return revision[hex.EncodedLen(sha1.Size):] }

func newWrite() string {
	var b [8]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

// sessionID returns the public ID of the session that key opens.
func sessionID(key ticketstore.Key) string {
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// parseTicks returns the number in a field, -1 if there is none, and whether
// it is one of .NET's: ticks until the year 9999, or -1.
func parseTicks(field any) (n int64, ok bool) {
	s, ok := field.(string)
	if !ok {
		return -1, true
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < -1 || n > maxTicks || strconv.FormatInt(n, 10) != s {
		return -1, false
	}
	return n, true
}

// ticks returns t as .NET's DateTimeOffset.Ticks: 100 ns since the year 1.
func ticks(t time.Time) int64 { return t.Unix()*1e7 + int64(t.Nanosecond())/100 + unixTicks }
