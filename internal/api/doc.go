// Package api pins the exported API of the module in api.txt, so that none of
// it changes by accident.
package api
