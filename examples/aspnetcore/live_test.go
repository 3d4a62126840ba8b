// Package aspnetcore_test is the live test: a real ASP.NET Core application and
// a Go service share sessions, and whatever one of them does the other is asked
// about. It needs dotnet on the PATH, and redis-server.
package aspnetcore_test

import "testing"

// A meeting is one cell of the table: a browser signs in at one side and the
// other, or the same, is asked or acts.
type meeting struct {
	*world
	signIn, asked side
}

// together are tested for every meeting.
var together = []struct {
	name string
	test func(*testing.T, meeting)
}{
	{"claims", testClaims},
	{"slide", testSlide},
	{"slide-own-window", testSlideOwnWindow},
	{"no-refresh", testNoRefresh},
	{"expire", testExpire},
	{"change", testChange},
	{"sign-in-again", testSignInAgain},
	{"sign-in-with-dead-cookie", testSignInWithDeadCookie},
	{"signout", testSignOut},
	{"revoke", testRevoke},
	{"deleted-key", testDeletedKey},
}

// atOne are tested for every side that a session may begin at.
var atOne = []struct {
	name string
	test func(*testing.T, *world, side)
}{
	{"late-renewal", testLateRenewal},
	{"renewed-by-both", testRenewedByBoth},
	{"revoke-several", testRevokeSeveral},
	{"rename", testRename},
	{"slide-longer-window", testSlideLongerWindow},
	{"crowd", testCrowd},
	{"ends-at", testEndsAt},
	{"two-cookies", testTwoCookies},
	{"change-in-between", testChangeInBetween},
	{"signout-and-in", testSignOutAndIn},
	{"listing", testListing},
	{"cap", testCap},
	{"key-of-another-type", testKeyOfAnotherType},
}

// once are tested once. The last one changes the keys.
var once = []struct {
	name string
	test func(*testing.T, *world)
}{
	{"differences", testDifferences},
	{"refused", testRefused},
	{"settings", testSettings},
	{"identity", testIdentity},
	{"rotation", testRotation},
}

func TestLive(t *testing.T) {
	t.Parallel()
	for _, sessionStore := range []string{"usual", "redis"} {
		t.Run(sessionStore, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sessionStore)
			for _, signIn := range w.sides() {
				for _, asked := range w.sides() {
					for _, test := range together {
						t.Run("signin="+signIn.name+"/asked="+asked.name+"/"+test.name, func(t *testing.T) {
							w.setClock(t, 0)
							test.test(t, meeting{w, signIn, asked})
						})
					}
				}
				for _, test := range atOne {
					t.Run("signin="+signIn.name+"/"+test.name, func(t *testing.T) {
						w.setClock(t, 0)
						test.test(t, w, signIn)
					})
				}
			}
			for _, test := range once {
				t.Run(test.name, func(t *testing.T) {
					w.setClock(t, 0)
					test.test(t, w)
				})
			}
		})
	}
}
