package faults

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

var into = flag.String("write", "", "the document that the results go into as well, if nothing has failed")

// notes are the lines of the table.
var notes struct {
	sync.Mutex
	rows      []string
	endings   []string
	faults    map[string]int
	from      uint64 // the first seed
	simulated tally
}

// note notes histories that were checked, and found to be right.
func note(what string, seen int, counts, faults map[string]int) {
	notes.Lock()
	defer notes.Unlock()
	unclear, hurt := 0, 0
	for outcome, n := range counts {
		if strings.HasSuffix(outcome, string(unknown)) {
			unclear += n
		}
	}
	for _, n := range faults {
		hurt += n
	}
	notes.rows = append(notes.rows, fmt.Sprintf("| %s | %d | %d | %d | %d | 0 |", what, counts["Store: ok"], seen, unclear, hurt))
	if notes.faults == nil {
		notes.faults = map[string]int{}
	}
	for fault, n := range faults {
		notes.faults[fault] += n
	}
}

// noteEndings notes endings that were read, in which nothing was wrong.
func noteEndings(where string, seen endingsTally, faults map[string]int) {
	notes.Lock()
	defer notes.Unlock()
	hurt := 0
	for _, n := range faults {
		hurt += n
	}
	notes.endings = append(notes.endings, fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d | 0 |",
		where, seen.sessions, seen.told, seen.told*readers, seen.kills, seen.again, hurt, faults["killed"]))
}

// noteSimulations notes simulations in which nothing was wrong.
func noteSimulations(from uint64, seen tally) {
	notes.Lock()
	defer notes.Unlock()
	notes.from, notes.simulated = from, seen
}

// What is between begin and end in the document is written by this command.
const (
	beginHistories   = "<!-- Written by go test . -write, in faults -->\n"
	beginEndings     = "<!-- Written by go test . -run Endings -write, in faults -->\n"
	beginSimulations = "<!-- Written by go test . -run Simulation -write, in faults -->\n"
	endMark          = "<!-- The end of what it has written -->\n"
)

// write writes into the document what was tested.
func write(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if len(notes.rows) > 0 {
		about, err := headingOfRedis(fmt.Sprintf("-ops %d`, seed %d", *operations, *seed))
		if err != nil {
			return err
		}
		if text, err = replace(text, beginHistories, about+histories()); err != nil {
			return err
		}
	}
	if len(notes.endings) > 0 {
		about, err := headingOfRedis(fmt.Sprintf("-run Endings -sessions %d`, seed %d", *toEnd, *seed))
		if err != nil {
			return err
		}
		table := "| where | sessions | endings | read | kill -9 of readers | read again | faults | of these, kill -9 of Redis | violations |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n"
		if text, err = replace(text, beginEndings, about+table+strings.Join(notes.endings, "\n")+"\n"); err != nil {
			return err
		}
	}
	if seen := notes.simulated; seen.runs > 0 {
		first, last := notes.from, notes.from+uint64(seen.runs)-1
		if from, before, ok := simulated(text); ok && from+uint64(before.runs) == first { // that one goes on
			first = from
			seen.add(before)
		}
		about, err := heading(fmt.Sprintf("-run Simulation -runs %d`, seeds %d to %d", seen.runs, first, last), "github.com/redis/go-redis/v9", "github.com/alicebob/miniredis/v2")
		if err != nil {
			return err
		}
		table := fmt.Sprintf("| runs | events | requests | sessions | faults | violations |\n|--:|--:|--:|--:|--:|--:|\n| %d | %d | %d | %d | %d | 0 |\n",
			seen.runs, seen.events, seen.requests, seen.sessions, seen.faults)
		if text, err = replace(text, beginSimulations, about+".\n\n"+table); err != nil {
			return err
		}
	}
	return os.WriteFile(file, text, 0o644)
}

// simulated returns what the document says of simulations, and their first seed.
func simulated(text []byte) (from uint64, seen tally, ok bool) {
	_, said, _ := bytes.Cut(text, []byte(beginSimulations))
	_, seeds, _ := strings.Cut(string(said), ", seeds ")
	_, row, _ := strings.Cut(seeds, "--:|\n")
	if _, err := fmt.Sscan(seeds, &from); err != nil {
		return 0, seen, false
	}
	_, err := fmt.Sscanf(row, "| %d | %d | %d | %d | %d |", &seen.runs, &seen.events, &seen.requests, &seen.sessions, &seen.faults)
	return from, seen, err == nil
}

func headingOfRedis(command string) (string, error) {
	server, err := exec.Command("redis-server", "--version").Output()
	if err != nil {
		return "", err
	}
	about, err := heading(command, "github.com/redis/go-redis/v9")
	return fmt.Sprintf("%s, %s.\n\n", about, strings.Join(strings.Fields(string(server))[:3], " ")), err
}

// heading says when, how, where and with which versions.
func heading(command string, modules ...string) (string, error) {
	versions, err := exec.Command("go", append([]string{"list", "-m"}, modules...)...).Output()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, `go test . %s: %s, %d processors, %s", time.Now().Format(time.DateOnly), command,
		runtime.Version(), runtime.NumCPU(), strings.Join(strings.Split(strings.TrimSpace(string(versions)), "\n"), ", ")), nil
}

func histories() string {
	var faults []string
	for _, fault := range slices.Sorted(maps.Keys(notes.faults)) {
		faults = append(faults, fmt.Sprintf("%s %d", fault, notes.faults[fault]))
	}
	return "| mode | sessions | operations | of these, outcome unknown | faults | violations |\n|---|--:|--:|--:|--:|--:|\n" +
		strings.Join(notes.rows, "\n") + "\n\nThe faults: " + strings.Join(faults, ", ") + ".\n"
}

// replace puts text between the marks of a document.
func replace(document []byte, begin, text string) ([]byte, error) {
	before, rest, ok1 := bytes.Cut(document, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(endMark))
	if !ok1 || !ok2 {
		return nil, errors.New("the document has no marks: " + begin)
	}
	return slices.Concat(before, []byte(begin+"\n"+text+"\n"+endMark), after), nil
}
