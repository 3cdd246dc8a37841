#!/usr/bin/env bash
# Drives the plugin in pytest with every other Python that this machine has, from the oldest that the README promises on:
# those on the PATH and pyenv's. What is not there is not tried, and the last line says which were.
set -euo pipefail
cd "$(dirname "$0")/../.."

oldest=7 newest=20
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tried=()
for minor in $(seq $oldest $newest); do
    for python in "$(command -v "python3.$minor" || true)" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$minor".*/bin/python3; do
        # pyenv's stand-ins on the PATH may stand for nothing.
        if [ ! -x "$python" ] || ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
            continue
        fi
        "$python" -m venv "$folder/$minor"
        "$folder/$minor/bin/pip" install --quiet --disable-pip-version-check pytest
        echo "--- $("$python" --version)"
        RUNNER_TEST_PYTEST=$folder/$minor/bin/python cargo test --quiet --locked --lib executors::pytest::events
        tried+=("3.$minor")
        break
    done
done
echo "tried: ${tried[*]:-none}"
