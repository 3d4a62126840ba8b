package ticketstore

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
)

// SignOut ends every session whose key r presents, in an impersonation the
// operator's, too, and deletes the cookie. If it returns an error, the store could
// not answer, or r has more than 16 distinct keys, and the cookie is still there:
// answer 503, so that the user tries again.
//
// But if the error is ErrSuperseded, the cookie is deleted, and the session that
// it once opened goes on, by a key that this browser does not have: tell the
// user, who can end it from the list of sessions.
//
// Call it before writing to w, by POST: a link could sign users out.
func (m *Manager) SignOut(w http.ResponseWriter, r *http.Request) error {
	keys, err := m.allKeys(w, r)
	if err != nil {
		return err
	}
	var known []presented // nothing is read within Wrap, and nothing unless it is told
	res := attached(r.Context()).of(m)
	if m.cfg.Observer != nil {
		_, known, _ = m.allPresented(w, r)
	} else if res != nil {
		known = res.presented
		if res.operator != nil {
			known = append(slices.Clip(known), res.operator.presented...)
		}
	}
	if by := operatorIn(known); by != "" {
		r = r.WithContext(endedBy(r.Context(), "signed-out", by))
	}
	errs := m.removeAll(r.Context(), keys, 1)
	m.unlink(r, known, keys, errs)
	m.tellEnded(r, "signed-out", known, keys, errs)
	var old, failed []error
	for _, err := range errs {
		switch {
		case errors.Is(err, ErrSuperseded):
			old = append(old, err)
		case err != nil:
			failed = append(failed, err)
		}
	}
	if failed != nil {
		return errors.Join(failed...)
	}
	m.writeCookie(w, m.cfg.CookieName, "", -1)
	if m.hasOperator(w, r) {
		m.writeCookie(w, m.operatorCookie, "", -1)
	}
	return errors.Join(old...)
}

// removeAll ends the sessions of keys side by side, trying each so many times:
// together they take no longer than one. One whose key is superseded cannot be
// ended by it.
func (m *Manager) removeAll(ctx context.Context, keys []Key, tries int) []error {
	errs := make([]error, len(keys))
	var wg sync.WaitGroup
	for i, key := range keys {
		wg.Go(func() {
			for range tries {
				errs[i] = m.remove(ctx, key)
				if errs[i] == nil || errors.Is(errs[i], ErrSuperseded) {
					return
				}
			}
		})
	}
	wg.Wait()
	m.live.removed(keys)
	return errs
}

// unlink has the store forget what led to the presented sessions, as far as a
// removal of keys, which returned errs, has ended them.
func (m *Manager) unlink(r *http.Request, old []presented, keys []Key, errs []error) {
	s, ok := m.store.(interface {
		unlink(ctx context.Context, t *Ticket)
	})
	if !ok {
		return
	}
	for _, p := range old {
		if i := slices.Index(keys, p.key); i >= 0 && errs[i] == nil && p.ticket != nil && len(p.ticket.Links) > 0 {
			s.unlink(r.Context(), p.ticket)
		}
	}
}

// allKeys returns the keys in cookies already set on w, then those in r's, and
// those of an operator.
func (m *Manager) allKeys(w http.ResponseWriter, r *http.Request) ([]Key, error) {
	set, err := m.keys(r, m.cfg.CookieName, cookiesSet(w))
	if err != nil {
		return nil, err
	}
	presented, err := m.keys(r, m.cfg.CookieName, m.cookies(r, m.cfg.CookieName))
	if err != nil {
		return nil, err
	}
	operators, err := m.operatorKeys(w, r)
	return append(append(set, presented...), operators...), err
}
