//go:build !race

package ticketstore

const raceEnabled = false
