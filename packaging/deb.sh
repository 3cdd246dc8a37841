#!/usr/bin/env bash
# Builds the Debian package; prints its path. Needs `cargo install cargo-deb --locked`.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

command -v cargo-deb >/dev/null || { echo 'packaging/deb.sh: cargo-deb not found; install with: cargo install cargo-deb --locked' >&2; exit 1; }
cargo build --quiet --release --locked --package ostest-runner
runner=$target/release/runner
# cargo-deb finds below target/release what is below it wherever cargo's target folder is.
made=$target/release/packaged
mkdir -p "$made"
"$runner" man | gzip -9n >"$made/runner.1.gz"
for shell in bash zsh fish; do
    "$runner" completions "$shell" >"$made/completion.$shell"
done
cargo deb --quiet --no-build --locked --package ostest-runner
