.PHONY: test check example golden

# The tests. With redis-server on the PATH they run on real Redis, too.
test:
	go test -race -shuffle=on ./...

# All that CI checks.
check:
	.ci/run

# The example, on http://127.0.0.1:8080, with a Redis inside.
example:
	go run ./examples/quickstart

# After a deliberate change of a format: see CONTRIBUTING.md.
golden:
	go test -run Golden . -update
