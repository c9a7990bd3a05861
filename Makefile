# make help lists what there is. As root on Debian 12 or 13 with a recent cargo, `make demo` and `make test` need no
# preparation.

DESTDIR =
PREFIX  = /usr
OCFDIR  = $(PREFIX)/lib/ocf
SBINDIR = $(PREFIX)/sbin
DOCDIR  = $(PREFIX)/share/doc/pgsqlms

CARGO   = cargo
TARGET  = $(or $(CARGO_TARGET_DIR),target)
AGENT   = $(TARGET)/release/pgsqlms
LAB     = $(TARGET)/release/lab
# Where the tests install the agent.
STAGE   = $(TARGET)/stage
STAGED  = $(abspath $(STAGE))$(OCFDIR)/resource.d/rust/pgsqlms

# Arguments for the lab's scenarios and for the demonstration, and how long to fuzz each target.
SCENARIOS    =
DEMO         =
FUZZ_SECONDS = 20

.DELETE_ON_ERROR:
.PHONY: help build install uninstall check test campaign test-packages test-unit test-slow test-ocf test-ocf-tester test-ocft test-vagrant \
	test-lab campaign-lab demo fuzz clean need-root need-cargo need-lints

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

build: need-cargo ## Build the agent
	$(CARGO) build --locked --release --package pgsqlms

$(AGENT): Cargo.toml Cargo.lock $(shell find src -name '*.rs')
	@$(MAKE) --no-print-directory build

install: $(AGENT) ## Install the agent; DESTDIR, PREFIX, OCFDIR, SBINDIR, DOCDIR are honoured
	install -D -m 755 $(AGENT) $(DESTDIR)$(OCFDIR)/resource.d/rust/pgsqlms
	# Where the agent's meta-data says it is.
	install -D -m 644 ocf/ra-api-1.1.dtd $(DESTDIR)/usr/share/pgsqlms/ra-api-1.1.dtd
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(DOCDIR)/pcs-examples $(DESTDIR)$(DOCDIR)/examples
	ln -sfn $(OCFDIR)/resource.d/rust/pgsqlms $(DESTDIR)$(SBINDIR)/pgsqlms
	install -m 644 README.md LICENSE CHANGELOG.md $(DESTDIR)$(DOCDIR)
	install -m 755 pcs-examples/*.sh $(DESTDIR)$(DOCDIR)/pcs-examples
	install -m 644 examples/* $(DESTDIR)$(DOCDIR)/examples

uninstall: ## Remove what install has installed
	rm -f $(DESTDIR)$(OCFDIR)/resource.d/rust/pgsqlms $(DESTDIR)$(SBINDIR)/pgsqlms
	rm -rf $(DESTDIR)$(DOCDIR) $(DESTDIR)/usr/share/pgsqlms
	-@rmdir $(DESTDIR)$(OCFDIR)/resource.d/rust 2>/dev/null

check: need-lints ## Check format and lints, of everything
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	# Not among all targets, because plain `cargo test` leaves it out.
	$(CARGO) clippy --locked --package pgsqlms --test lab -- -D warnings

test: need-root need-cargo ## Install what the tests need and run all of them (root)
	@.ci/test

test-packages: need-root
	@.ci/packages build lab test

test-unit: need-cargo ## Run the tests that need no cluster
	$(CARGO) test --locked --workspace --no-fail-fast

test-slow: need-root need-cargo ## Run the lab's own tests that need root
	@.ci/packages build lab test
	$(CARGO) test --locked --package lab --no-fail-fast -- --ignored

campaign: need-cargo ## Run the exhaustive searches that take minutes, which test leaves out
	$(CARGO) test --locked --release --package pgsqlms --lib -- --ignored
	$(CARGO) test --locked --release --package pgsqlms --test it -- --ignored ten_thousand_monitors

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

$(STAGED): $(AGENT) README.md LICENSE CHANGELOG.md $(wildcard pcs-examples/*.sh examples/*)
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
