package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"time"
)

const userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// A contender is a server, and the sessions that it is asked for.
type contender struct {
	name     string
	server   *process
	read     string // the command of Redis that reads a session
	cached   bool   // it has a cache, for staleness
	signIn   func(ctx context.Context, user string) (session, error)
	sessions []session
	answer   int // bytes of the body
	rounds   []round
}

func (c *contender) url() string { return c.server.said }

// A session is what a browser has after a sign-in.
type session struct {
	user   string
	cookie string // name=value
}

var client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// get returns status and body. It sends cookie, unless that is empty.
func get(ctx context.Context, url, cookie string) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("User-Agent", userAgent)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	res, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

var antiforgery = regexp.MustCompile(`name="__RequestVerificationToken" value="([^"]+)"`)

// signInToApp signs in at the ASP.NET Core application as a browser does: with
// the form, its token, and a jar for the cookie that belongs to it.
func signInToApp(ctx context.Context, base, user string) (session, error) {
	jar, _ := cookiejar.New(nil) // it has no errors
	browser := *client
	browser.Jar = jar
	r, err := http.NewRequestWithContext(ctx, "GET", base+"/login", nil)
	if err != nil {
		return session{}, err
	}
	res, err := browser.Do(r)
	if err != nil {
		return session{}, err
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	token := antiforgery.FindSubmatch(page)
	if err != nil || token == nil {
		return session{}, fmt.Errorf("/login of the application: %s without a token: %w", res.Status, err)
	}
	return signIn(ctx, &browser, base, user, string(token[1]))
}

// signIn sends the form.
func signIn(ctx context.Context, browser *http.Client, base, user, token string) (session, error) {
	form := url.Values{"name": {user}, "password": {users[user].password}}
	if token != "" {
		form.Set("__RequestVerificationToken", token)
	}
	r, err := http.NewRequestWithContext(ctx, "POST", base+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		return session{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", userAgent)
	res, err := browser.Do(r)
	if err != nil {
		return session{}, err
	}
	res.Body.Close()
	cookies := res.Cookies()
	if res.StatusCode != http.StatusFound || len(cookies) != 1 {
		return session{}, fmt.Errorf("a sign-in is answered with %s and %d cookies", res.Status, len(cookies))
	}
	return session{user, cookies[0].Name + "=" + cookies[0].Value}, nil
}

// signInAll gives every contender its sessions. The first three are asked for
// the same ones: what one of them has begun is good for all.
func (b *bench) signInAll(ctx context.Context) error {
	for i, c := range b.contenders {
		if i > 0 && i < sharing {
			c.sessions = b.contenders[0].sessions
			continue
		}
		for n := range b.sessions {
			s, err := c.signIn(ctx, []string{"alice", "bob"}[n%2])
			if err != nil {
				return err
			}
			c.sessions = append(c.sessions, s)
		}
	}
	b.signedIn = time.Now()
	return nil
}

const sharing = 3 // contenders, the first ones

// verify checks that the servers do what they are to be measured at. Then every
// session has been read once by every server, after which aspnetcore.Store and
// RedisTicketStore.cs have it in the index, and reading is all there is to do.
func (b *bench) verify(ctx context.Context) error {
	var first []byte
	for i, c := range b.contenders {
		for _, s := range c.sessions {
			body, err := c.expect(ctx, s, http.StatusOK)
			if err != nil {
				return err
			}
			c.answer = len(body)
		}
		body, err := c.expect(ctx, c.sessions[0], http.StatusOK)
		if err != nil {
			return err
		}
		if i == 0 {
			first = body
		}
		if i < sharing && !sameJSON(first, body) {
			return fmt.Errorf("%s answers %s, the application %s", c.name, body, first)
		}
		if _, err := c.expect(ctx, session{}, http.StatusUnauthorized); err != nil {
			return err
		}
	}
	// One login: what Go has begun, the application knows.
	if _, err := b.contenders[0].expect(ctx, b.contenders[sharing].sessions[0], http.StatusOK); err != nil {
		return fmt.Errorf("of a session that Go has begun: %w", err)
	}
	for _, c := range b.contenders {
		if err := b.checkEnded(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// expect asks who s is.
func (c *contender) expect(ctx context.Context, s session, want int) ([]byte, error) {
	status, body, err := get(ctx, c.url()+"/me", s.cookie)
	if err == nil && (status != want || want == http.StatusOK && !bytes.Contains(body, s.subject())) {
		err = fmt.Errorf("%s: GET /me as %q is answered with %d %s; want %d", c.name, s.user, status, body, want)
	}
	return body, err
}

// subject is in every answer, as both write it.
func (s session) subject() []byte { return fmt.Appendf(nil, `"subject":%q`, s.user) }

// checkEnded checks that c believes Redis alone: once the record of a session
// is gone, its cookie says nothing.
func (b *bench) checkEnded(ctx context.Context, c *contender) error {
	before, err := b.keys(ctx)
	if err != nil {
		return err
	}
	s, err := c.signIn(ctx, "alice")
	if err != nil {
		return err
	}
	if _, err := c.expect(ctx, s, http.StatusOK); err != nil {
		return err
	}
	after, err := b.keys(ctx)
	if err != nil {
		return err
	}
	for key := range before {
		delete(after, key)
	}
	if len(after) != 1 { // the indexes of alice are there already
		return fmt.Errorf("%s: a sign-in makes %d keys in Redis; want the record alone", c.name, len(after))
	}
	for key := range after {
		if err := b.client.Del(ctx, key).Err(); err != nil {
			return err
		}
	}
	_, err = c.expect(ctx, s, http.StatusUnauthorized)
	return err
}

func (b *bench) keys(ctx context.Context) (map[string]bool, error) {
	keys := map[string]bool{}
	all := b.client.Scan(ctx, 0, "*", 1000).Iterator()
	for all.Next(ctx) {
		keys[all.Val()] = true
	}
	return keys, all.Err()
}

func sameJSON(a, b []byte) bool {
	var x, y any
	err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y))
	return err == nil && reflect.DeepEqual(x, y)
}
