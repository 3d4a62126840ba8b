// Package faults proves by machine what the library promises of a session: it is
// live from its sign-in to its first end, and never again; each renewal replaces
// the ticket that was read; and a call that fails has happened or not, never half.
//
// Many goroutines of two processes do all that can be done with a session, on a
// real Redis, while connections are held up, cut or lost and the server hangs or
// is killed. What they saw is then checked for linearizability, session by
// session, by porcupine:
//
//	go test .                              # 100,000 operations
//	go test . -timeout 2h -ops 1000000 -write ../docs/trust.md
//
// Sessions end in every way while readers of their endings are killed:
//
//	go test . -run Endings                 # 5,000 sessions
//
// And whole sites, with browsers, clocks that are off and time that passes, are
// simulated in one process, from one seed:
//
//	go test . -run Simulation              # 10,000 of them
//	go test . -run Simulation -seed 1234   # from that one on
package faults
