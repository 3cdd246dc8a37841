#!/usr/bin/env bash
# Everything: .ci/run with its long steps, whatever has changed: all attacks at all levels, the other Pythons, containers,
# images, virtual machines with the package, benches, and the soak of 2,000 tasks. As root on Debian; takes an hour.
set -euo pipefail
cd "$(dirname "$0")/.."
DEEP=1 exec .ci/run
