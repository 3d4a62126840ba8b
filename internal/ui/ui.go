// Package ui is what the pages of packages devices and admin have in common:
// how a session is shown, how it looks, and what headers guard it.
package ui
