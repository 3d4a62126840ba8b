package api

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite api.txt")

const root = "../.."

func TestAPI(t *testing.T) {
	var got bytes.Buffer
	for _, dir := range publicPackages(t) {
		writeAPI(t, &got, dir)
	}
	file := filepath.Join(root, "api.txt")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() == string(want) {
		return
	}
	gone, added := difference(string(want), got.String()), difference(got.String(), string(want))
	t.Errorf("the exported API is not that of api.txt.\ngone:\n%s\nadded:\n%s\nIf that is meant: go test ./internal/api -update", gone, added)
}

// publicPackages returns the directories of the root module's packages that
// users can import.
func publicPackages(t *testing.T) []string {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if path != root {
			name := d.Name()
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil || name == "internal" || name == "cmd" || name == "examples" || name == "testdata" || strings.HasPrefix(name, ".") {
				return fs.SkipDir
			}
		}
		if sources, _ := filepath.Glob(filepath.Join(path, "*.go")); len(sources) > 0 {
			dirs = append(dirs, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) < 2 {
		t.Fatalf("got packages %q: the test looks at too little", dirs)
	}
	return dirs
}

// writeAPI writes the exported declarations of the package in dir, without
// comments, bodies and unexported fields.
func writeAPI(t *testing.T, w *bytes.Buffer, dir string) {
	fset := token.NewFileSet()
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, source, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return
	}
	p, err := doc.NewFromFiles(fset, files, dir)
	if err != nil {
		t.Fatal(err)
	}
	var decls []string
	add := func(node ast.Decl) {
		var b bytes.Buffer
		if f, ok := node.(*ast.FuncDecl); ok {
			f.Body = nil
		}
		if err := (&printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 8}).Fprint(&b, fset, node); err != nil {
			t.Fatal(err)
		}
		decls = append(decls, b.String())
	}
	values := func(v []*doc.Value) {
		for _, v := range v {
			add(v.Decl)
		}
	}
	funcs := func(f []*doc.Func) {
		for _, f := range f {
			add(f.Decl)
		}
	}
	values(p.Consts)
	values(p.Vars)
	funcs(p.Funcs)
	for _, typ := range p.Types {
		add(typ.Decl)
		values(typ.Consts)
		values(typ.Vars)
		funcs(typ.Funcs)
		funcs(typ.Methods)
	}
	fmt.Fprintf(w, "# %s\n\n", strings.TrimSuffix("github.com/ticketstore/ticketstore/"+strings.TrimPrefix(strings.TrimPrefix(dir, root), "/"), "/"))
	for _, d := range decls {
		fmt.Fprintf(w, "%s\n\n", d)
	}
}

// difference returns the lines of a that b does not have.
func difference(a, b string) string {
	have := strings.Split(b, "\n")
	var lines []string
	for line := range strings.Lines(a) {
		if line = strings.TrimSuffix(line, "\n"); !slices.Contains(have, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
