// Package browsertest has no code: its tests drive Chromium over the pages of
// packages devices and admin, and over examples/devices and examples/aspnetcore.
// They look for chromium on the PATH, and for the latter for dotnet.
//
//	go test ./...
//	go test -run Screenshots -update-screenshots    # rewrites docs/images
package browsertest
