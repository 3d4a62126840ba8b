package ui

import (
	"testing"
	"time"
)

func TestAgo(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want string
	}{
		{-time.Hour, "just now"}, {0, "just now"}, {59 * time.Second, "just now"},
		{time.Minute, "about a minute ago"}, {89 * time.Second, "about a minute ago"}, {90 * time.Second, "about 2 minutes ago"},
		{12 * time.Minute, "about 12 minutes ago"}, {59*time.Minute + 29*time.Second, "about 59 minutes ago"},
		{59*time.Minute + 30*time.Second, "about an hour ago"}, {89 * time.Minute, "about an hour ago"}, {90 * time.Minute, "about 2 hours ago"},
		{23*time.Hour + 29*time.Minute, "about 23 hours ago"}, {23*time.Hour + 30*time.Minute, "about a day ago"}, {36 * time.Hour, "about 2 days ago"},
		{29 * 24 * time.Hour, "about 29 days ago"}, {30 * 24 * time.Hour, "about a month ago"}, {60 * 24 * time.Hour, "about 2 months ago"},
		{344 * 24 * time.Hour, "about 11 months ago"}, {350 * 24 * time.Hour, "about a year ago"}, {800 * 24 * time.Hour, "about 2 years ago"},
	} {
		if got := ago(test.d); got != test.want {
			t.Errorf("%v: got %q, want %q", test.d, got, test.want)
		}
	}
}
