// Package browsertest has no code: its tests drive Chromium over the pages of
// packages devices and admin, and over examples/devices. They look for chromium
// on the PATH.
//
//	go test ./...
//	go test -run Screenshots -update-screenshots    # rewrites docs/images
package browsertest
