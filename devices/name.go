package devices

import "github.com/ticketstore/ticketstore/internal/ui"

// Name returns what the page calls a device, in English: "Firefox on Linux", or
// "Unknown device". It is a few words of plain letters, whatever userAgent is,
// and the same for all versions of a browser. It proves nothing: anybody can
// send any header.
func Name(userAgent string) string { return ui.Name(userAgent) }
