package aspnetcore

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	maxItemBytes = 1 << 20
	maxXMLDepth  = 32
	maxXMLNodes  = 10_000 // elements, attributes and texts of one document

	xmlNamespace = "http://www.w3.org/XML/1998/namespace"
	xmlSpace     = " \t\r\n"
)

// An element is an XML element or, without a name, a text. There are no
// comments and no processing instructions in it.
type element struct {
	name     xml.Name
	attrs    []xml.Attr
	children []*element
	text     string
}

// parseXML parses one XML document. It refuses what XElement.Parse refuses,
// and document types. Errors tell the line, never the content.
func parseXML(data []byte) (*element, error) {
	if len(data) > maxItemBytes {
		return nil, fmt.Errorf("it has %d bytes; at most %d are read", len(data), maxItemBytes)
	}
	p := &xmlParser{decoder: xml.NewDecoder(bytes.NewReader(data))}
	for first := true; ; first = false {
		token, err := p.decoder.Token()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = p.token(token, first)
		} else {
			err = errors.New("it is not well-formed XML")
		}
		if err != nil {
			line, _ := p.decoder.InputPos()
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	if p.root == nil {
		return nil, errors.New("it is not XML: it has no element")
	}
	return p.root, nil
}

type xmlParser struct {
	decoder *xml.Decoder
	root    *element
	open    []*element
	scopes  []int    // how many spaces there were before each open element
	spaces  []string // the namespaces that are declared for the open elements
	nodes   int
}

func (p *xmlParser) token(token xml.Token, first bool) error {
	switch t := token.(type) {
	case xml.StartElement:
		return p.start(t)
	case xml.EndElement:
		last := len(p.open) - 1
		p.open, p.spaces, p.scopes = p.open[:last], p.spaces[:p.scopes[last]], p.scopes[:last]
	case xml.CharData:
		if len(p.open) > 0 {
			return p.add(&element{text: string(t)})
		}
		if len(bytes.Trim(t, xmlSpace)) > 0 {
			return errors.New("it is not XML: there is text outside of its element")
		}
	case xml.ProcInst:
		if t.Target == "xml" && !first {
			return errors.New("an XML declaration that is not at the start")
		}
	case xml.Directive:
		return errors.New("document types are not read")
	}
	return nil
}

func (p *xmlParser) start(t xml.StartElement) error {
	if len(p.open) == maxXMLDepth {
		return fmt.Errorf("elements are nested more than %d deep", maxXMLDepth)
	}
	e := &element{name: t.Name, attrs: slices.Clone(t.Attr)}
	if err := p.add(e); err != nil {
		return err
	}
	p.open, p.scopes = append(p.open, e), append(p.scopes, len(p.spaces))
	for _, a := range e.attrs {
		if a.Name.Space == "xmlns" || a.Name == (xml.Name{Local: "xmlns"}) {
			p.spaces = append(p.spaces, a.Value)
		}
	}
	names := map[xml.Name]bool{}
	for _, a := range e.attrs {
		if names[a.Name] {
			return errors.New("an attribute occurs twice")
		}
		names[a.Name] = true
		if a.Name.Space != "xmlns" && !p.declared(a.Name) {
			return errors.New("a namespace prefix is not declared")
		}
	}
	if !p.declared(e.name) {
		return errors.New("a namespace prefix is not declared")
	}
	return nil
}

// declared tells if the namespace of name is declared: encoding/xml gives the
// prefix for one that is not.
func (p *xmlParser) declared(name xml.Name) bool {
	return name.Space == "" || name.Space == xmlNamespace || slices.Contains(p.spaces, name.Space)
}

func (p *xmlParser) add(e *element) error {
	if p.nodes += 1 + len(e.attrs); p.nodes > maxXMLNodes {
		return fmt.Errorf("it has more than %d elements, attributes and texts", maxXMLNodes)
	}
	switch {
	case len(p.open) > 0:
		parent := p.open[len(p.open)-1]
		parent.children = append(parent.children, e)
	case p.root != nil:
		return errors.New("it is not XML: an element follows its element")
	default:
		p.root = e
	}
	return nil
}

// child returns the first child element of that name, or nil. Of nil it is nil.
func (e *element) child(space, local string) *element {
	if e == nil {
		return nil
	}
	for _, c := range e.children {
		if c.name == (xml.Name{Space: space, Local: local}) {
			return c
		}
	}
	return nil
}

// only returns the child element, or nil unless there is exactly one.
func (e *element) only() (only *element) {
	for _, c := range e.children {
		switch {
		case c.name.Local == "":
		case only != nil:
			return nil
		default:
			only = c
		}
	}
	return only
}

// attr returns the value of an attribute without a namespace, or "". Of nil it
// is "".
func (e *element) attr(local string) string {
	if e == nil {
		return ""
	}
	for _, a := range e.attrs {
		if a.Name == (xml.Name{Local: local}) {
			return a.Value
		}
	}
	return ""
}

// value returns all text inside e, in order.
func (e *element) value() string {
	var b strings.Builder
	e.write(&b)
	return b.String()
}

func (e *element) write(b *strings.Builder) {
	b.WriteString(e.text)
	for _, c := range e.children {
		c.write(b)
	}
}
