# What a checkout can do. `make` alone lists it.
# Only cargo is needed, but for `interop` and `bench`, which use the peers they find installed.

CARGO   = cargo
PREFIX  = /usr/local
DESTDIR =
# Options for the demo, as in make run ARGS="--workers 1 --queue 1".
ARGS    =

# Where cargo puts what it builds, also when the caller has moved it.
TARGET  = $${CARGO_TARGET_DIR:-target}
BINARY  = $(TARGET)/release/threadbare

# What `make static` builds for: this machine. Any other target of Rust's that is installed will do,
# with musl (aarch64-unknown-linux-musl) without a cross compiler: Rust brings the linker and libc.
STATIC_TARGET = $(shell rustc -vV | sed -n 's/^host: //p')
STATIC_FLAGS  = -C target-feature=+crt-static $(if $(findstring musl,$(STATIC_TARGET)),-C linker=rust-lld)

.PHONY: help build run demo check test test-tiny model interop bench load pinned bench-programs micro \
	readiness many size static footprint instructions install clean

help:
	@echo 'make build    the release binary'
	@echo 'make static   the same without shared libraries, for $(STATIC_TARGET)'
	@echo 'make run      the demo: three built-in backends and the balancer before them; options for it'
	@echo '              go behind ARGS=, as in make run ARGS="--workers 1 --queue 1"'
	@echo 'make test     every test that needs only Rust'
	@echo 'make test-tiny  tests that hold for both listeners, with the other one: tiny_http'
	@echo 'make check    format, lints, documentation, tests, models, instructions: for each commit'
	@echo 'make model    the models of the threads, every interleaving of them (loom)'
	@echo 'make interop  tests with real peers: nginx, HAProxy, Go, Python, Chromium, curl, wrk'
	@echo 'make bench    all that follows, the speed beside the peers that are installed'
	@echo 'make load     requests/s, CPU, latency, memory beside peers; see bench/README.md'
	@echo 'make pinned   the same for small requests, with the proxy on one core'
	@echo 'make many     memory, reload and CPU with a thousand backends'
	@echo 'make micro    the parts alone: picks, fields, heads'
	@echo 'make footprint  binary, memory, time to the first answer'
	@echo 'make instructions  counts of one request, by valgrind, against the recorded ones'
	@echo 'make size     size of the release binary and its resident memory when idle'
	@echo 'make install  into $$(DESTDIR)$$(PREFIX)/bin, $(DESTDIR)$(PREFIX)/bin as it stands'
	@echo 'make clean    removes what was built'

build:
	$(CARGO) build --release

# Says where it is. `--target`, also where it is this machine: without it the flags would be those of
# build scripts and derives too, which have to be loaded.
static:
	RUSTFLAGS="$(STATIC_FLAGS)" $(CARGO) build --release --target "$(STATIC_TARGET)"
	@ls -l "$(TARGET)/$(STATIC_TARGET)/release/threadbare"

run: demo

demo: build
	"$(BINARY)" demo $(ARGS)

test:
	$(CARGO) test --lib --bins --test it --test tidy --test differential --test model
	$(CARGO) test --doc

# The modules of tests/it whose every sentence is true of both listeners.
BOTH = access_log::rotation access_log::stuck answers bad_answers balance content demo fields \
	forwarding framing health kept queue \
	reload::applied reload::kept reload::refused reload::replaced reload::signals reload::storm \
	retry service::notify shutdown streaming truncation

# `health::` is also in the name of another module, in which a client that closes must be noticed.
test-tiny:
	THREADBARE_LISTENER=tiny_http $(CARGO) test --test it -- $(BOTH:%=%::) --skip passive_health::

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps
	$(MAKE) test
	$(MAKE) model
	$(MAKE) instructions

# A target folder of its own: the flag would otherwise rebuild everything at each change of sides.
model:
	CARGO_TARGET_DIR="$(TARGET)/loom" RUSTFLAGS="--cfg loom" $(CARGO) test --release --test model

# One after the other, so that no peer's load is another's noise; uncaptured, so that skips show.
interop:
	$(CARGO) test --release --test interop -- --nocapture --test-threads=1

bench: load pinned many footprint instructions micro

# The client, the backend and the bare proxy of the benches.
bench-programs:
	$(CARGO) build --release --examples

load: build bench-programs
	bench/load.sh

pinned: build bench-programs
	PINNED=1 LOADS="$${LOADS-small-1 small-16 small-64 small-256 small-1000}" bench/load.sh

footprint: build bench-programs
	bench/footprint.sh

# Another profile, because a stripped binary has no names to look the instructions up by. Without
# valgrind nothing is built: the script says so and ends.
instructions:
	if command -v valgrind >/dev/null; then \
		$(CARGO) build --release --examples && $(CARGO) build --profile symbols; \
	fi
	bench/instructions.sh

micro:
	$(CARGO) bench --bench micro --bench balance

readiness:
	$(CARGO) bench --bench readiness

many: build
	bench/many.py

size: build
	@bench/size.sh "$(BINARY)"

install: build
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install -m 755 "$(BINARY)" "$(DESTDIR)$(PREFIX)/bin/threadbare"

clean:
	$(CARGO) clean
