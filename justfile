# What people type daily. `just` alone lists it.

bench_dir := "../shared/bench"

_list:
    @just --list --unsorted

# Run the tests, all or those that match
test *FILTER:
    tests/run {{ FILTER }}

# Run all tests and print only how the promises of docs/promises.md fared
promises:
    #!/usr/bin/env bash
    set -euo pipefail
    mkdir -p target/promises
    rm -f target/promises/passed.txt
    status=0
    tests/run >target/promises/run.txt 2>&1 || status=$?
    if [[ ! -f target/promises/passed.txt ]]; then
        echo "the tests did not run; target/promises/run.txt says why" >&2
        exit 1
    fi
    tests/promises check target/promises/passed.txt docs/promises.md || status=1
    exit "$status"

# Replay a week of nightly files through a running site that is killed every night
week:
    cargo test --locked --test it week:: -- --nocapture

# Kill the program at every fail point, every time that it is reached, and compare what it ends in; takes some minutes
crash:
    WHARF_CRASH=all cargo test --locked --test it -- --nocapture --test-threads 1 crashes:: power::

# Live random disasters, on both targets: `just torture 2000 5001` runs 2,000 seeds from 5001 on, `just torture 1 SEED` one life again
torture SEEDS="1000" FROM="1":
    WHARF_SEEDS={{ SEEDS }} WHARF_SEED={{ FROM }} cargo test --locked --test it torture::lives -- --nocapture

# Run the tests of very large input at their full size; needs a few gigabytes of disk
big:
    WHARF_BIG=1 cargo test --locked --test it big

# Measure against the limit and the peers; `just bench --big` adds the ten million rows
bench *OPTIONS:
    benches/compare {{ OPTIONS }} {{ bench_dir }}

# Measure how files that arrive are taken; `just bench-arrive latency drain` measures a part, `--quick` less of it
bench-arrive *FIGURES:
    benches/arrive {{ FIGURES }}

# Format the code
fmt:
    cargo fmt

# Look for what rustfmt and clippy would complain about
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings

# Write the generated pages and schemas again
docs:
    WHARF_WRITE_DOCS=1 cargo test --locked --test it docs::

# Check the licences, sources and doubles of what we depend on
deny:
    cargo deny --locked check bans licenses sources

# Make a site in a temporary folder and load its sample file
run-sample:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --locked
    site=$(mktemp -d)/site
    wharf=(cargo run --quiet --locked -- --site "$site")
    cargo run --quiet --locked -- init "$site"
    "${wharf[@]}" check
    # Some of the sample's rows are bad: 2 means loaded with rejects.
    "${wharf[@]}" load "$site"/mappings/samples/* || (($? == 2))
    "${wharf[@]}" status

# Everything that must hold before a change is taken
ci:
    .ci/run
