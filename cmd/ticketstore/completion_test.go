package main

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func script(t *testing.T, shell string) string {
	t.Helper()
	var out strings.Builder
	if err := completion(&out, shell); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Every script knows every command and flag, and a shell that is there reads it.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		text := script(t, shell)
		for _, c := range commands() {
			if !strings.Contains(text, c.name) {
				t.Errorf("%s does not know %s", shell, c.name)
			}
		}
		new(options).flags().VisitAll(func(f *flag.Flag) {
			name := "-" + f.Name
			if shell == "fish" {
				name = "-o " + f.Name + " "
			}
			if !strings.Contains(text, name) {
				t.Errorf("%s does not know -%s", shell, f.Name)
			}
		})
		if _, err := exec.LookPath(shell); err != nil {
			t.Logf("no %s here to read its script", shell)
			continue
		}
		cmd := exec.Command(shell, "-n")
		cmd.Stdin = strings.NewReader(text)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s -n: %v: %s", shell, err, said)
		}
	}
}

func TestBashCompletes(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("bash is not on the PATH")
		}
		t.Skip("skipped: bash is not on the PATH")
	}
	for _, test := range []struct{ line, want string }{
		{"ticketstore rev", "revoke revoke-everybody"},
		{"ticketstore -dr", "-dry-run"},
		{"ticketstore revoke alice -y", "-yes"},
		{"ticketstore completion z", "zsh"},
		{"ticketstore -tls-ca completion_t", "completion_test.go"},
	} {
		words := strings.Fields(test.line)
		text := script(t, "bash") + "COMP_WORDS=(" + test.line + ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_ticketstore\necho ${COMPREPLY[@]}\n"
		got, err := exec.Command("bash", "-c", text).CombinedOutput()
		if err != nil || strings.TrimSpace(string(got)) != test.want {
			t.Errorf("%s after %s: got %q, %v, want %q", words[len(words)-1], test.line, got, err, test.want)
		}
	}
}
