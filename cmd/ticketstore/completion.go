package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// completion writes a script that completes commands, flags and the names of
// files.
func completion(w io.Writer, shell string) error {
	var names, flags, files []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	new(options).flags().VisitAll(func(f *flag.Flag) {
		flags = append(flags, "-"+f.Name)
		if value, _ := flag.UnquoteUsage(f); value == "FILE" {
			files = append(files, "-"+f.Name)
		}
	})
	var err error
	switch shell {
	case "bash":
		_, err = fmt.Fprintf(w, bashCompletion, strings.Join(files, "|"), strings.Join(flags, " "), strings.Join(names, " "))
	case "zsh":
		_, err = fmt.Fprint(w, zshCompletion())
	case "fish":
		_, err = fmt.Fprint(w, fishCompletion())
	default:
		err = usagef("want: ticketstore completion bash|zsh|fish")
	}
	return err
}

const bashCompletion = `# source <(ticketstore completion bash)
_ticketstore() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
	case $before in
	%s) COMPREPLY=($(compgen -f -- "$word")); return ;;
	completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- "$word")); return ;;
	esac
	case $word in
	-*) COMPREPLY=($(compgen -W '%s' -- "$word")) ;;
	*) COMPREPLY=($(compgen -W '%s' -- "$word")) ;;
	esac
}
complete -F _ticketstore ticketstore
`

func zshCompletion() string {
	var b strings.Builder
	b.WriteString("#compdef ticketstore\n# source <(ticketstore completion zsh)\n_ticketstore() {\n\t_arguments \\\n")
	new(options).flags().VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		argument := ""
		switch value {
		case "":
		case "FILE":
			argument = ":FILE:_files"
		default:
			argument = ":" + value + ": "
		}
		fmt.Fprintf(&b, "\t\t%s \\\n", quote("-"+f.Name+"["+short(usage)+"]"+argument))
	})
	b.WriteString("\t\t'1:command:((")
	for i, c := range commands() {
		if i > 0 {
			b.WriteString(" ")
		}
		fmt.Fprintf(&b, `%s\:"%s"`, c.name, strings.ReplaceAll(c.what, "'", `'\''`))
	}
	b.WriteString("))' \\\n\t\t'*:argument: '\n}\ncompdef _ticketstore ticketstore\n")
	return b.String()
}

func fishCompletion() string {
	var b strings.Builder
	b.WriteString("# ticketstore completion fish | source\ncomplete -c ticketstore -f\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "complete -c ticketstore -n __fish_use_subcommand -a %s -d %s\n", c.name, fishQuote(c.what))
	}
	b.WriteString("complete -c ticketstore -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n")
	new(options).flags().VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		takes := ""
		switch value {
		case "":
		case "FILE":
			takes = " -r -F"
		default:
			takes = " -x"
		}
		fmt.Fprintf(&b, "complete -c ticketstore -o %s%s -d %s\n", f.Name, takes, fishQuote(short(usage)))
	})
	return b.String()
}

// short returns what a usage says first, without brackets and colons, which
// zsh reads.
func short(usage string) string {
	usage, _, _ = strings.Cut(usage, ":")
	usage, _, _ = strings.Cut(usage, ";")
	return strings.NewReplacer("[", "(", "]", ")").Replace(usage)
}

// quote quotes s for bash and zsh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// fishQuote quotes s for fish, in which a backslash escapes in quotes, too.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
