package ui

import (
	_ "embed"
	"html/template"
)

// Style is the style sheet of all pages. But for what the class ticketstore-page
// marks, it is for what is within the class ticketstore.
//
//go:embed style.css
var Style string

// Script is the script of all pages: it writes times as the reader has them.
//
//go:embed times.js
var Script string

//go:embed parts.html
var parts string

// Template returns the template of a page of its own, in which "content" is what
// html defines as that. In html, {{template}} knows the parts of all pages, and
// (both .Text .Row) and (row . .Row false) hand them two or three things.
func Template(name, html string) *template.Template {
	t := template.New(name).Funcs(template.FuncMap{
		"both": func(text, row any) any { return struct{ Text, Row any }{text, row} },
		"row": func(page, row any, nested bool) any {
			return struct {
				Page, Row any
				Nested    bool
			}{page, row, nested}
		},
	})
	t = template.Must(template.Must(t.Parse(parts)).Parse(html))
	return template.Must(t.Parse(`{{template "page" .}}`))
}

// Head returns what the head of a page needs: style, and Script if the reader's
// browser is to write the times.
func Head(style string, script bool) template.HTML {
	head := `<meta name="robots" content="noindex">` + "\n<style>" + style + "</style>"
	if script {
		head += "\n<script>" + Script + "</script>"
	}
	return template.HTML(head)
}
