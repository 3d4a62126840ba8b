.PHONY: test race check example golden

# The tests. With redis-server on the PATH they run on real Redis, too.
test:
	go test ./...

# As CI runs them, which needs a C compiler and has no skips.
race:
	CI=true go test -race -shuffle=on -timeout 30m ./...

# All that CI checks, on a machine with Debian's packages.
check:
	.ci/run

# The example, on http://127.0.0.1:8080, with a Redis inside.
example:
	go run ./examples/quickstart

# After a deliberate change of a format: see CONTRIBUTING.md.
golden:
	go test -run Golden . -update
