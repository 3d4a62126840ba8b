module github.com/ticketstore/ticketstore/examples/oidc

go 1.26.0

replace (
	github.com/ticketstore/ticketstore => ../../
	github.com/ticketstore/ticketstore/oidc => ../../oidc
)

require (
	github.com/alicebob/miniredis/v2 v2.40.0
	github.com/go-jose/go-jose/v4 v4.1.9
	github.com/redis/go-redis/v9 v9.23.0
	github.com/ticketstore/ticketstore v0.0.0
	github.com/ticketstore/ticketstore/oidc v0.0.0
	golang.org/x/oauth2 v0.38.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/coreos/go-oidc/v3 v3.21.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/gorilla/securecookie v1.1.2 // indirect
	github.com/mileusna/useragent v1.3.5 // indirect
	github.com/yuin/gopher-lua v1.1.1 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
)
