// Package recent says what counts as a recent sign-in.
package recent

import "time"

// At returns when the user of a ticket last proved who they are: at
// authenticated, or at signedIn if that is not known. Nobody proves it after
// the sign-in: that would be another one.
func At(authenticated, signedIn time.Time) time.Time {
	if authenticated.IsZero() || !signedIn.IsZero() && signedIn.Before(authenticated) {
		return signedIn
	}
	return authenticated
}
