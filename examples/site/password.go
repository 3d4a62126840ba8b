package main

import (
	"log/slog"
	"net/http"
	"unicode/utf8"
)

const minPassword = 12 // characters

type passwordForm struct {
	Problem string
	Changed bool
	Min     int
}

func (a *app) passwordPage(w http.ResponseWriter, r *http.Request) {
	a.showPassword(w, r, http.StatusOK, passwordForm{Changed: r.URL.Query().Has("changed")})
}

func (a *app) showPassword(w http.ResponseWriter, r *http.Request, status int, f passwordForm) {
	f.Min = minPassword
	a.show(w, r, status, "password", "Change password", "password.html", f)
}

// changePassword is within RequireRecent: whoever finds an unlocked computer
// cannot, and neither can an operator who acts as the user.
func (a *app) changePassword(w http.ResponseWriter, r *http.Request) {
	password := r.PostForm.Get("new")
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		a.showPassword(w, r, http.StatusBadRequest, passwordForm{Problem: "That is too short."})
		return
	case len(password) > 72: // bcrypt hashes no more
		a.showPassword(w, r, http.StatusBadRequest, passwordForm{Problem: "That is too long. Please use at most 72 characters, fewer if they have accents."})
		return
	}
	// First the password, so that nobody signs in by the old one any more; then
	// whoever has done so; then this browser's key, in case it is not alone with it.
	// Each may be repeated: if one fails, the user sends the form again.
	if err := a.users.setPassword(subject(r), password); err != nil {
		slog.ErrorContext(r.Context(), "a password was not changed", "error", err)
		a.failed(w, r, http.StatusInternalServerError, err)
		return
	}
	_, err := a.manager.RevokeOthers(r)
	if err == nil {
		_, err = a.manager.Rotate(w, r, nil)
	}
	if err != nil {
		a.manager.Error(w, r, err)
		return
	}
	http.Redirect(w, r, "/account/password?changed", http.StatusSeeOther)
}
