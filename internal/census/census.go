// Package census is the part of the Lua scripts that every store of this
// module shares: it counts and lists sessions by subject.
package census

import _ "embed"

// Lua defines the functions now, live and settle. Prepend it to a script.
//
//go:embed census.lua
var Lua string
