package storetest

import (
	"slices"
	"strconv"
	"time"

	"github.com/ticketstore/ticketstore"
)

var endingsMutants = []mutant{
	{name: "an ending is told twice", breaks: "Endings/at_once Endings/from_now Endings/once History/began History/cause History/ended History/expired History/order", change: func(m *memory) {
		m.do.tell = func(e ending) { m.tell(e); m.tell(e) }
	}},
	{name: "a sign-out is not told", breaks: "Endings/at_once Endings/from_now Endings/once History/began History/cause History/ended History/order", change: func(m *memory) {
		m.do.tell = func(e ending) {
			if e.Cause != "signed-out" {
				m.tell(e)
			}
		}
	}},
	{name: "a revocation is not told", breaks: "History/cause History/ended", change: func(m *memory) {
		m.do.tell = func(e ending) {
			if e.Cause != "revoked" {
				m.tell(e)
			}
		}
	}},
	{name: "what expires is not told", breaks: "Endings/once History/cause History/expired", change: func(m *memory) {
		m.do.tell = func(e ending) {
			if e.Cause != "idle" && e.Cause != "lifetime" {
				m.tell(e)
			}
		}
	}},
	{name: "the history is of everybody", breaks: "History/cause History/ended", change: func(m *memory) {
		m.do.past = func(string) []ending {
			es := slices.Clone(m.endings)
			slices.Reverse(es)
			return es
		}
	}},
	{name: "the first ending comes first", breaks: "History/order", change: func(m *memory) {
		m.do.past = func(subject string) []ending {
			es := m.past(subject)
			slices.Reverse(es)
			return es
		}
	}},
	{name: "an ending lacks its device", breaks: "History/began", change: func(m *memory) {
		m.do.tell = func(e ending) {
			e.Session.Device = ticketstore.Device{}
			m.tell(e)
		}
	}},
	{name: "an ending lacks its cause", breaks: "History/cause", change: func(m *memory) {
		m.do.tell = func(e ending) {
			e.Cause = ""
			m.tell(e)
		}
	}},
	{name: "an ending is of another day", breaks: "History/order", change: func(m *memory) {
		m.do.tell = func(e ending) {
			e.EndedAt = e.EndedAt.Add(-24 * far)
			m.tell(e)
		}
	}},
	{name: "a strange cursor begins anew", breaks: "Endings/cursor", change: func(m *memory) {
		m.do.read = func(cursor string, limit int) ([]ending, string, error) {
			if _, err := strconv.Atoi(cursor); err != nil {
				cursor = ""
			}
			return m.read(cursor, limit)
		}
	}},
	{name: "a cursor skips an ending", breaks: "Endings/at_once Endings/from_now Endings/once", change: func(m *memory) {
		m.do.read = func(cursor string, limit int) ([]ending, string, error) {
			if n, err := strconv.Atoi(cursor); err == nil && n == 1 && n < len(m.endings) {
				cursor = "2"
			}
			return m.read(cursor, limit)
		}
	}},
	{name: "a limit of 0 goes nowhere", breaks: "Endings/at_once Endings/from_now", change: func(m *memory) {
		m.do.read = func(cursor string, limit int) ([]ending, string, error) {
			if limit == 0 {
				return nil, cursor, nil
			}
			return m.read(cursor, limit)
		}
	}},
	{name: "a mark is ignored", breaks: "marks/before", change: func(m *memory) {
		m.do.marked = func(*ticket) bool { return false }
	}},
	{name: "a mark refuses what begins later", breaks: "marks/after", change: func(m *memory) {
		m.do.marked = func(t *ticket) bool { return !m.marks[t.Subject].IsZero() && t.SignedInAt.After(m.now.Add(-time.Hour)) }
	}},
	{name: "a mark is everybody's", breaks: "marks/after", change: func(m *memory) {
		m.do.marked = func(t *ticket) bool {
			for subject := range m.marks {
				if u := t.Clone(); t.Subject == bob {
					u.Subject = subject
					return m.marked(u)
				}
			}
			return m.marked(t)
		}
	}},
}
