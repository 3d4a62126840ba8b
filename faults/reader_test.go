package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// readerOrder makes the test program a reader of endings.
const readerOrder = "FAULTS_READER"

// A bookmark is what a reader keeps once it has dealt with a page.
type bookmark struct {
	Page   int
	Cursor string
}

// keep puts it where a reader that is killed leaves either this or the one before.
func (b bookmark) keep(file string) error {
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// read is the process of a reader. To deal with a page is to write it into a log.
// It ends when it is told to stop, and there is nothing more.
func (p place) read(ctx context.Context) error {
	client, store, err := p.open()
	if err != nil {
		return err
	}
	defer client.Close()
	var at bookmark
	if data, err := os.ReadFile(p.File); err == nil {
		if err := json.Unmarshal(data, &at); err != nil {
			return err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	log, err := os.OpenFile(p.File+".log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	if _, err := fmt.Fprintln(log); err != nil { // behind a line that was cut
		return err
	}
	for {
		_, goOn := os.Stat(p.File + ".stop")
		next, n, err := p.page(ctx, store, log, at)
		switch {
		case errors.Is(err, errLog):
			return err
		case err != nil:
			time.Sleep(20 * time.Millisecond)
		case n == 0 && goOn == nil:
			return nil
		case n == 0:
			time.Sleep(20 * time.Millisecond)
		default:
			at = next
		}
	}
}

var errLog = errors.New("cannot keep what was read")

// page deals with a page, and returns the bookmark behind it and how many
// endings there were.
func (p place) page(ctx context.Context, store *ticketstore.RedisStore, log *os.File, at bookmark) (next bookmark, n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, redistest.Patience) // it may have to tell of many that have expired
	defer cancel()
	endings, cursor, err := store.Endings(ctx, at.Cursor, 1+rand.IntN(500))
	var page bytes.Buffer
	lines := json.NewEncoder(&page)
	if errors.Is(err, ticketstore.ErrEndingsLost) {
		err = lines.Encode(telling{Wrong: err.Error()})
	}
	if err != nil || len(endings) == 0 && page.Len() == 0 {
		return at, 0, err
	}
	next = bookmark{at.Page + 1, cursor}
	if p.Bug == "keeps its cursor first" {
		if err := next.keep(p.File); err != nil {
			return at, 0, errors.Join(errLog, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if p.Bug == "goes past one" && rand.IntN(10) == 0 {
		endings = endings[1:]
	}
	for i, e := range endings {
		if i == 0 {
			if _, err := store.Session(ctx, e.Session.Subject, e.Session.ID); err == nil {
				lines.Encode(telling{Wrong: e.Session.ID + " has ended, and is there"})
			}
		}
		lines.Encode(telling{
			ID: e.Session.ID, Subject: e.Session.Subject, Cause: e.Cause, By: e.By, At: e.EndedAt.UnixMilli(),
			Page: next.Page, Process: os.Getpid(),
		})
	}
	if _, err := log.Write(page.Bytes()); err != nil {
		return at, 0, errors.Join(errLog, err)
	}
	time.Sleep(rand.N(100 * time.Millisecond)) // when a kill -9 has the page come again
	if p.Bug == "keeps its cursor late" && next.Page%5 != 0 {
		return next, len(endings), nil
	}
	if err := next.keep(p.File); err != nil {
		return at, 0, errors.Join(errLog, err)
	}
	return next, len(endings), nil
}

// log returns what a reader has dealt with. A line that was cut it has not.
func (r *reader) log() (all []telling, err error) {
	data, err := os.ReadFile(r.File + ".log")
	if err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		var one telling
		if len(lines.Bytes()) > 0 && json.Unmarshal(lines.Bytes(), &one) == nil {
			all = append(all, one)
		}
	}
	return all, nil
}
