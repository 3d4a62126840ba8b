// Package browsertest has no code: its tests drive Chromium over the pages of
// packages devices and admin, and over examples/devices, site, oidc and aspnetcore.
// They look for chromium on the PATH, and for the last one for dotnet.
//
//	go test ./...
//	go test -run Screenshots -update-screenshots    # rewrites docs/images
package browsertest
