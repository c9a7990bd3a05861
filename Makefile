# make help lists what there is. As root on Debian 12 or 13 with a recent cargo, `make demo` and `make test` need no
# preparation.

DESTDIR =
PREFIX  = /usr
OCFDIR  = $(PREFIX)/lib/ocf
SBINDIR = $(PREFIX)/sbin
DOCDIR  = $(PREFIX)/share/doc/pgsqlms
MANDIR  = $(PREFIX)/share/man
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR  = $(PREFIX)/share/zsh/vendor-completions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d

CARGO   = cargo
TARGET  = $(or $(CARGO_TARGET_DIR),target)
AGENT   = $(TARGET)/release/pgsqlms
LAB     = $(TARGET)/release/lab
STATIC  = $(shell uname -m)-unknown-linux-gnu
# What is read beside README.
PAGES   = $(wildcard docs/*.md docs/*/*.md)
# Where the tests install the agent.
STAGE   = $(TARGET)/stage
STAGED  = $(abspath $(STAGE))$(OCFDIR)/resource.d/rust/pgsqlms

# Arguments for the lab's scenarios and for the demonstration, and how long to fuzz each target.
SCENARIOS    =
DEMO         =
# What `make mutants` compares with.
BASE         = main
FUZZ_SECONDS = 20

.DELETE_ON_ERROR:
.PHONY: help manual build build-static install uninstall check test campaign mutants test-packages test-fast test-unit test-slow test-ocf test-ocf-tester test-ocft test-vagrant \
	test-lab campaign-lab demo fuzz clean need-root need-cargo need-lints

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

build: need-cargo ## Build the agent
	$(CARGO) build --locked --release --package pgsqlms

# Build scripts and macros run here and cannot be static: naming the target keeps the flag from them.
build-static: need-cargo ## Build the agent for distributions with an older C library, and say where it is
	RUSTFLAGS='-C target-feature=+crt-static' $(CARGO) build --locked --release --package pgsqlms --target $(STATIC)
	@echo $(TARGET)/$(STATIC)/release/pgsqlms

$(AGENT): Cargo.toml Cargo.lock $(shell find src -name '*.rs')
	@$(MAKE) --no-print-directory build

install: $(AGENT) ## Install the agent; DESTDIR, PREFIX, OCFDIR, SBINDIR, DOCDIR, MANDIR, BASHDIR, ZSHDIR, FISHDIR are honoured
	install -D -m 755 $(AGENT) $(DESTDIR)$(OCFDIR)/resource.d/rust/pgsqlms
	# Where the agent's meta-data says it is.
	install -D -m 644 ocf/ra-api-1.1.dtd $(DESTDIR)/usr/share/pgsqlms/ra-api-1.1.dtd
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(DOCDIR)/pcs-examples $(DESTDIR)$(DOCDIR)/examples \
	    $(addprefix $(DESTDIR)$(DOCDIR)/,$(sort $(dir $(PAGES)))) $(DESTDIR)$(DOCDIR)/vagrant/provision
	ln -sfn $(OCFDIR)/resource.d/rust/pgsqlms $(DESTDIR)$(SBINDIR)/pgsqlms
	install -m 644 LICENSE *.md $(DESTDIR)$(DOCDIR)
	install -D -m 644 -t $(DESTDIR)$(MANDIR)/man7 manual/man7/*.7
	install -D -m 644 -t $(DESTDIR)$(MANDIR)/man8 manual/man8/*.8
	install -D -m 644 manual/completions/pgsqlms.bash $(DESTDIR)$(BASHDIR)/pgsqlms
	install -D -m 644 manual/completions/_pgsqlms $(DESTDIR)$(ZSHDIR)/_pgsqlms
	install -D -m 644 manual/completions/pgsqlms.fish $(DESTDIR)$(FISHDIR)/pgsqlms.fish
	for page in $(PAGES); do install -m 644 "$$page" "$(DESTDIR)$(DOCDIR)/$$page" || exit 1; done
	install -m 755 pcs-examples/*.sh $(DESTDIR)$(DOCDIR)/pcs-examples
	install -m 644 pcs-examples/*.md $(DESTDIR)$(DOCDIR)/pcs-examples
	install -m 644 $(wildcard examples/*.*) $(DESTDIR)$(DOCDIR)/examples
	install -D -m 644 -t $(DESTDIR)$(DOCDIR)/examples/prometheus examples/prometheus/*
	# What the pages refer to.
	install -m 644 vagrant/README.md vagrant/Vagrantfile $(DESTDIR)$(DOCDIR)/vagrant
	install -m 755 vagrant/provision/*.sh $(DESTDIR)$(DOCDIR)/vagrant/provision

uninstall: ## Remove what install has installed
	rm -f $(DESTDIR)$(OCFDIR)/resource.d/rust/pgsqlms $(DESTDIR)$(SBINDIR)/pgsqlms
	rm -f $(DESTDIR)$(MANDIR)/man7/ocf_rust_pgsqlms.7 $(DESTDIR)$(MANDIR)/man8/pgsqlms.8 $(DESTDIR)$(MANDIR)/man8/pgsqlms-*.8
	rm -f $(DESTDIR)$(BASHDIR)/pgsqlms $(DESTDIR)$(ZSHDIR)/_pgsqlms $(DESTDIR)$(FISHDIR)/pgsqlms.fish
	rm -rf $(DESTDIR)$(DOCDIR) $(DESTDIR)/usr/share/pgsqlms
	-@rmdir $(DESTDIR)$(OCFDIR)/resource.d/rust 2>/dev/null

manual: need-cargo ## Write the man pages and shell completions anew, from what the program says
	$(CARGO) run --locked --quiet --package manual

check: need-lints ## Check format, lints, documentation and dependencies, of everything
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	# Not among all targets, because plain `cargo test` leaves it out.
	$(CARGO) clippy --locked --package pgsqlms --test lab -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --quiet --locked --workspace --no-deps
	.ci/deny

test: need-root need-cargo ## Install what the tests need and run all of them (root)
	@.ci/test

test-packages: need-root
	@.ci/packages build lab test

test-fast: need-cargo ## Run the tests of rules and readers, which take seconds
	$(CARGO) test --locked --package pgsqlms --lib

# Most of these tests wait for a server rather than for a processor.
test-unit: need-cargo ## Run the tests that need no cluster
	RUST_TEST_THREADS=$$(($$(nproc) * 2)) $(CARGO) test --locked --workspace --no-fail-fast

test-slow: need-root need-cargo ## Run the lab's own tests that need root
	@.ci/packages build lab test
	$(CARGO) test --locked --package lab --no-fail-fast -- --ignored

campaign: need-cargo ## Run the exhaustive searches that take minutes, which test leaves out
	$(CARGO) test --locked --release --package pgsqlms --lib -- --ignored
	$(CARGO) test --locked --release --package pgsqlms --test it -- --ignored ten_thousand_monitors
	$(CARGO) test --locked --release --package pgsqlms --test it -- --ignored nothing_goes_wrong_in_a_million_lives

# Only what differs from BASE: all of it would take days. A change that no test notices is printed as MISSED.
mutants: need-cargo ## Change the rules that differ from BASE, and see whether a test notices
	@$(CARGO) mutants --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-mutants
	@mkdir -p $(TARGET)
	git diff $(BASE) -- src/rules src/rules.rs > $(TARGET)/rules.diff
	@[ ! -s $(TARGET)/rules.diff ] && echo "no rule differs from $(BASE)" || $(CARGO) mutants --package pgsqlms \
	    --in-diff $(TARGET)/rules.diff --output $(TARGET) -- --locked --lib

test-ocf: test-ocf-tester test-ocft ## Run the OCF tools' tests on the agent (root)

test-ocf-tester: need-root $(STAGED)
	ocf/run-ocf-tester.sh $(STAGED)

test-ocft: need-root $(STAGED)
	ocf/run-ocft.sh $(STAGED)

test-vagrant: ## Check the description of the virtual machines
	cd vagrant && vagrant validate --ignore-provider

test-lab: need-root need-cargo ## Run the scenarios in the lab (root); SCENARIOS=name runs some of them
	@.ci/packages build lab
	$(CARGO) test --locked --test lab -- $(SCENARIOS)

campaign-lab: need-root need-cargo ## Run the lab's long scenarios, which test leaves out (root); SCENARIOS=name runs some of them
	@.ci/packages build lab
	$(CARGO) test --locked --test lab -- --campaign $(SCENARIOS)

demo: need-root need-cargo ## Watch a cluster of three nodes switch over and fail over (root)
	@.ci/packages build lab
	$(CARGO) build --locked --release --package pgsqlms --package lab
	$(LAB) demo --agent-binary $(abspath $(AGENT)) $(DEMO)

fuzz: need-cargo ## Fuzz the readers of untrusted bytes, FUZZ_SECONDS for each target
	@$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-fuzz
	cd fuzz && ./seed && for target in $$($(CARGO) fuzz list); do \
	    $(CARGO) fuzz run --sanitizer none $$target -- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

clean: ## Remove what was built
	$(CARGO) clean

$(STAGED): $(AGENT) LICENSE $(wildcard *.md pcs-examples/*.sh examples/* examples/*/*) $(PAGES)
	@$(MAKE) --no-print-directory install DESTDIR=$(abspath $(STAGE)) PREFIX=$(PREFIX)

need-root:
	@[ "$$(id -u)" = 0 ] || { echo "This needs root: it installs packages, runs PostgreSQL and makes network namespaces." \
	    "Without root, try: make check test-unit" >&2; exit 1; }

need-cargo:
	@$(CARGO) --version >/dev/null 2>&1 || { echo "cargo is not in root's or your PATH: install Rust 1.85 or later" \
	    "(https://rustup.rs, or apt-get install cargo on Debian 13)." >&2; exit 1; }

# rustup and Debian both keep them apart from cargo.
need-lints: need-cargo
	@{ $(CARGO) fmt --version && $(CARGO) clippy --version; } >/dev/null 2>&1 \
	    || { command -v rustup >/dev/null && rustup component add rustfmt clippy; } \
	    || .ci/packages lints
