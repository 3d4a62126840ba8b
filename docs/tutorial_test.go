package docs_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"go/format"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// What the tutorial says is done from its first line to its last, in an empty
// folder, and what it shows is compared. Then the program gets a Redis of its
// own, and what it says of that is so.
func TestTutorial(t *testing.T) {
	r := followPage(t, "tutorial.md")
	outlives := func(t *testing.T, addr string) {
		r.t, r.env = t, append(os.Environ(), "REDIS_URL=redis://"+addr, "COOKIE_KEY="+base64.StdEncoding.EncodeToString(make([]byte, 32)))
		defer func() { r.stop(); r.t = nil }()
		r.serve()
		r.console("$ curl -s -c laptop -d user=alice http://127.0.0.1:8080/\n")
		r.serve() // anew
		r.console("$ curl -s -b laptop http://127.0.0.1:8080/me\nOnly alice sees this.\n")
	}
	t.Run("miniredis", func(t *testing.T) { outlives(t, miniredis.RunT(t).Addr()) })
	t.Run("Redis", func(t *testing.T) { outlives(t, redistest.Start(t).Addr) })
}

// A reader does what a page says: makes its files, runs its commands.
type reader struct {
	t    *testing.T
	dir  string // where the reader is
	env  []string
	jars map[string]string // of curl: file -> Cookie header
	addr string            // where the program is, which the page has at 127.0.0.1:8080
	stop func()
}

var fence = regexp.MustCompile("(?ms)^```(go|console)([^\n]*)\n(.*?)^```$")

func followPage(t *testing.T, page string) *reader {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, dir: t.TempDir(), env: os.Environ(), jars: map[string]string{}, stop: func() {}}
	t.Cleanup(func() { r.stop() })
	if err := os.Symlink(root, filepath.Join(r.dir, "ticketstore")); err != nil {
		t.Fatal(err)
	}
	blocks := fence.FindAllStringSubmatch(read(t, page), -1)
	for _, b := range blocks {
		if b[1] == "go" {
			r.write(strings.TrimSpace(b[2]), b[3])
		} else {
			r.console(b[3])
		}
	}
	if len(blocks) < 15 {
		t.Errorf("%s: found %d blocks: this test looks at too little", page, len(blocks))
	}
	return r
}

// write puts code into a file: where says which, and where in it.
func (r *reader) write(where, code string) {
	r.t.Helper()
	file, where, _ := strings.Cut(where, " ")
	path := filepath.Join(r.dir, file)
	old, err := os.ReadFile(path)
	if err != nil && where != "" {
		r.t.Fatal(err)
	}
	text, place, by := string(old), "", code
	switch {
	case where == "":
		text = code
	case where == "end":
		text += "\n" + code
	case where == "above":
		place, by = "\t// More pages go here.\n", code+"\t// More pages go here.\n"
	case where == "import":
		place, by = "import (\n", "import (\n"+code
		if strings.Contains(code, ".") { // not of the standard library
			place, by = "ticketstore\"\n)\n", "ticketstore\"\n"+code+")\n"
		}
	case where == "delete import":
		place, by = code, ""
	default:
		from, ok := strings.CutPrefix(where, "replace: ")
		from, to, _ := strings.Cut(from, " .. ")
		begin := strings.Index(text, "\t"+from)
		if !ok || begin < 0 {
			r.t.Fatalf("%s: there is no %q", file, where)
		}
		end := begin + strings.Index(text[begin:], to)
		end += strings.Index(text[end:], "\n") + 1
		place = text[begin:end]
	}
	if place != "" {
		// Imports of the standard library are one group, ours another.
		if strings.Count(text, place) != 1 && where != "import" && where != "delete import" {
			r.t.Fatalf("%s: %q is there %d times, want once", file, place, strings.Count(text, place))
		}
		text = strings.Replace(text, place, by, 1)
	}
	formatted, err := format.Source([]byte(text))
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", file, err, text)
	}
	if where == "" && string(formatted) != code {
		r.t.Errorf("%s: gofmt would change it", file)
	}
	if err := os.WriteFile(path, formatted, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// console runs commands, and compares what they print.
func (r *reader) console(text string) {
	r.t.Helper()
	for _, part := range strings.Split("\n"+text, "\n$ ")[1:] {
		command, want, _ := strings.Cut(strings.TrimSuffix(part, "\n"), "\n")
		var got string
		switch name, args, _ := strings.Cut(command, " "); {
		case command == "go run .":
			got = r.start()
		case name == "curl":
			got = r.curl(args)
		case name == "mkdir":
			if err := os.Mkdir(filepath.Join(r.dir, args), 0o700); err != nil {
				r.t.Fatal(err)
			}
		case name == "cd":
			r.dir = filepath.Join(r.dir, args)
		case name == "go":
			r.run(strings.Fields(command)...)
		default:
			r.t.Fatalf("the test does not know %q", command)
		}
		if want = strings.TrimRight(want, "\n"); !shows(want, got) {
			r.t.Errorf("$ %s\ngot\n%s\nwant\n%s", command, got, want)
		}
	}
}

// shows reports whether want shows got: … is anything in a line or, alone, any
// lines.
func shows(want, got string) bool {
	pattern := regexp.QuoteMeta(want)
	pattern = regexp.MustCompile(`(?m)^…$\n?`).ReplaceAllString(pattern, "(?s:.*)")
	pattern = strings.ReplaceAll(pattern, "…", ".*")
	return regexp.MustCompile(`\A` + pattern + `\n*\z`).MatchString(got)
}

func (r *reader) run(args ...string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = r.dir, append(r.env, "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("%q: %v: %s", args, err, out)
	}
}

// start builds the program and runs it.
func (r *reader) start() string {
	r.t.Helper()
	r.run("go", "build", "-ldflags=-s -w", "-o", "program", ".")
	return r.serve()
}

// serve runs the program in place of the one that ran before. A port that was
// free may be taken in the meantime: then it tries another.
func (r *reader) serve() string {
	r.t.Helper()
	r.stop()
	for range 10 {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			r.t.Fatal(err)
		}
		r.addr = free.Addr().String()
		free.Close()
		if out, ok := r.try(); ok {
			return strings.ReplaceAll(out, r.addr, "127.0.0.1:8080")
		}
	}
	r.t.Fatal("the program does not serve")
	return ""
}

func (r *reader) try() (out string, ok bool) {
	cmd := exec.Command(filepath.Join(r.dir, "program"))
	cmd.Env = append(r.env, "ADDR="+r.addr)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan bool)
	lines := bufio.NewReader(stdout)
	out, _ = lines.ReadString('\n')
	go func() {
		io.Copy(io.Discard, lines)
		cmd.Wait()
		close(ended)
	}()
	r.stop = func() {
		cmd.Process.Kill()
		<-ended
	}
	for begin := time.Now(); time.Since(begin) < redistest.Patience; time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			r.t.Logf("the program says %q", stderr.String())
			return out, false
		default:
		}
		if conn, err := net.Dial("tcp", r.addr); err == nil {
			conn.Close()
			return out, true
		}
	}
	return out, false
}

// curl is as much of it as the pages need. It prints what is on the wire, which
// http.Client would put in another order.
func (r *reader) curl(args string) string {
	r.t.Helper()
	words := regexp.MustCompile(`'[^']*'|\S+`).FindAllString(args, -1)
	method, body, url, save, head := "GET", "", "", "", false
	header := http.Header{"User-Agent": {"curl/8.0"}, "Accept": {"*/*"}, "Connection": {"close"}}
	for i := 0; i < len(words); i++ {
		next := func() string { i++; return strings.Trim(words[i], "'") }
		switch words[i] {
		case "-s":
		case "-si":
			head = true
		case "-c":
			save = next()
		case "-b":
			header.Set("Cookie", r.jars[next()])
		case "-A":
			header.Set("User-Agent", next())
		case "-X":
			method = next()
		case "-H":
			name, value, _ := strings.Cut(next(), ": ")
			header.Set(name, value)
		case "-d":
			method, body = "POST", next()
			header.Set("Content-Type", "application/x-www-form-urlencoded")
		default:
			url = words[i]
		}
	}
	path, ok := strings.CutPrefix(url, "http://127.0.0.1:8080")
	if !ok {
		r.t.Fatalf("curl %s: the test does not know this URL", args)
	}
	var raw []byte
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		raw = r.send(method, path, header, body)
		// On a busy machine Redis may not answer in time.
		if !bytes.HasPrefix(raw, []byte("HTTP/1.1 503")) || time.Since(begin) > redistest.Patience {
			break
		}
	}
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		r.t.Fatalf("curl %s: %v", args, err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatalf("curl %s: %v", args, err)
	}
	if save != "" {
		r.jars[save] = ""
		for _, c := range res.Cookies() {
			r.jars[save] = c.Name + "=" + c.Value
		}
	}
	if !head {
		return string(text)
	}
	top, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	return strings.ReplaceAll(top, "\r\n", "\n") + "\n\n" + string(text)
}

func (r *reader) send(method, path string, header http.Header, body string) []byte {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(redistest.Patience))
	var request bytes.Buffer
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", method, path, r.addr, len(body))
	header.Write(&request)
	request.WriteString("\r\n" + body)
	if _, err := conn.Write(request.Bytes()); err != nil {
		r.t.Fatal(err)
	}
	raw, err := io.ReadAll(conn)
	if err != nil {
		r.t.Fatal(err)
	}
	return raw
}
