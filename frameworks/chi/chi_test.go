// Package chi_test shows that Wrap and Require work as they are with net/http
// and with chi.
package chi_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/frameworks/internal/fwtest"
)

func TestServeMux(t *testing.T) {
	fwtest.Run(t, fwtest.Framework{Serve: func(t *testing.T, s *fwtest.Site) (string, *http.Client) {
		h := handlers{t, s}
		mux := http.NewServeMux()
		mux.HandleFunc("GET /public", h.public)
		mux.HandleFunc("POST /signin", h.signIn)
		mux.HandleFunc("POST /signout", h.signOut)
		mux.Handle("POST /see", s.See(nil))
		mux.Handle("GET /me", s.Manager.Require(http.HandlerFunc(h.public)))
		mux.Handle("GET /events", s.Manager.Require(http.HandlerFunc(h.events)))
		mux.Handle("GET /hijack", s.Manager.Require(http.HandlerFunc(h.hijack)))
		return fwtest.ServeHTTP(t, s.Manager.Wrap(mux))
	}})
}

func TestChi(t *testing.T) {
	fwtest.Run(t, fwtest.Framework{Serve: func(t *testing.T, s *fwtest.Site) (string, *http.Client) {
		h := handlers{t, s}
		r := chi.NewRouter()
		r.Use(s.Manager.Wrap)
		r.Get("/public", h.public)
		r.Post("/signin", h.signIn)
		r.Post("/signout", h.signOut)
		r.With(s.See).Post("/see", http.NotFound)
		r.Group(func(r chi.Router) {
			r.Use(s.Manager.Require)
			r.Get("/me", h.public)
			r.Get("/events", h.events)
		})
		r.With(s.Manager.Require).Get("/hijack", h.hijack)
		return fwtest.ServeHTTP(t, r)
	}})
}

// The code in README.md.
func TestREADME(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	home, me := http.NotFound, http.NotFound
	r := chi.NewRouter()
	r.Use(m.Wrap)
	r.Get("/", home)
	r.Group(func(r chi.Router) {
		r.Use(m.Require)
		r.Get("/me", me)
	})
	fwtest.CheckStatuses(t, r, map[string]int{"GET /": http.StatusNotFound, "GET /me": http.StatusUnauthorized})
}

type handlers struct {
	t *testing.T
	s *fwtest.Site
}

func (h handlers) public(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, h.s.Reach(r.Context()))
}

func (h handlers) signIn(w http.ResponseWriter, r *http.Request) {
	for range 2 {
		if err := h.s.Manager.SignIn(w, r, fwtest.NewTicket()); err != nil {
			http.Error(w, "Please try again.", http.StatusServiceUnavailable)
			return
		}
	}
}

func (h handlers) signOut(w http.ResponseWriter, r *http.Request) {
	if err := h.s.Manager.SignOut(w, r); err != nil {
		http.Error(w, "Please try again.", http.StatusServiceUnavailable)
	}
}

func (h handlers) events(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "data: %s\n\n", h.s.Reach(r.Context()))
	w.(http.Flusher).Flush()
	<-h.s.Release
}

func (h handlers) hijack(w http.ResponseWriter, r *http.Request) {
	h.s.Reach(r.Context())
	fwtest.Hijack(h.t, w)
}
