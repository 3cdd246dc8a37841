#!/usr/bin/env bash
# image.sh: builds the images with the Dockerfile that is published, and uses them as docs/container.md and docs/fleet.md tell
# people to: the demo, the runner as process 1, the strong options, compose with several runners on one volume. No image is
# pulled and no crate fetched: see builder.sh.
set -euo pipefail
# shellcheck source=tests/vm/lib.sh
. "$(dirname "$0")/../vm/lib.sh"
# shellcheck source=tests/docker/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/docker/builder.sh
. "$(dirname "$0")/builder.sh"
# shellcheck source=tests/docker/composer.sh
. "$(dirname "$0")/composer.sh"

# How many runners compose starts.
runners=${OSTEST_DOCKER_RUNNERS:-4}

need docker-compose docker-compose
need curl curl
need cargo cargo
tree=$("$root/tests/vm/tree.sh") || exit
[ -n "$tree" ] || exit 0 # it has said why

good=0
bad=0
pass() { good=$((good + 1)); say "ok: $1 ($SECONDS s)"; }
fail() { bad=$((bad + 1)); say "FAILED: $1: ${*:2}"; }
equal() { if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "expected '$2', found '$3'"; fi; }
# has NAME TEXT PATTERN
has() { if grep -qE -- "$3" <<<"$2"; then pass "$1"; else fail "$1" "no $3 in: $(tail -n 20 <<<"$2")"; fi; }

# until_ok SECONDS COMMAND…
until_ok() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.5
    done
}

# build TAG OPTION…
build() {
    local tag=$1
    shift
    docker build --network host --build-arg BUILDER=ostest-builder --tag "$tag" "$@" "$root" >"$work/build.log" 2>&1 || {
        tail -n 40 "$work/build.log" >&2
        die "FAILED: $tag is not built"
    }
    say "$tag is built after $SECONDS s"
}

# The suite's packages come from the tree's wheels: there is no index here.
export PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv/wheels
pip=(--env PIP_NO_INDEX --env PIP_FIND_LINKS)

# As docs/container.md has them.
strong=(
    --security-opt "seccomp=$root/docker/seccomp.json" --security-opt systempaths=unconfined
    --security-opt no-new-privileges --cap-drop ALL --read-only --tmpfs /tmp
    --env RUNNER_SANDBOX_REQUIRE=bwrap
)

look() { docker inspect --format "$2" "$1"; }

image() {
    local inside
    inside=$(git -C "$root" rev-parse --short=12 HEAD)
    has 'the version has commit and date' "$(docker run --rm ostest-runner --version)" "\\($inside [0-9]{4}-[0-9]{2}-[0-9]{2}\\)"
    equal 'a user of its own' ostest-runner "$(look ostest-runner '{{.Config.User}}')"
    equal 'stops by SIGTERM' SIGTERM "$(look ostest-runner '{{.Config.StopSignal}}')"
    equal 'a volume for the state' 'map[/var/lib/ostest-runner:{}]' "$(look ostest-runner '{{.Config.Volumes}}')"
    # shellcheck disable=SC2016 # the container's shell is to see it
    inside=$(docker run --rm --entrypoint sh ostest-runner -c 'ls -d /build /usr/local/bin/cargo /var/lib/apt/lists/*_* 2>/dev/null; command -v git; true')
    equal 'nothing of the build is left in it' '' "$inside"
    equal 'it asks after its health by its own binary' 'CMD runner healthcheck' "$(look ostest-runner '{{join .Config.Healthcheck.Test " "}}')"
    # Neither in what the layers were made with nor in the environment of what starts from them.
    inside=$(docker history --no-trunc --format '{{.CreatedBy}}' ostest-runner; look ostest-runner '{{json .Config}}')
    equal 'no secret in a layer' '' "$(grep -iE 'password|passwd|secret|token|dora_explorer' <<<"$inside" || true)"
}

# What people change is the source: what it depends on is not to be built for that.
layers() {
    local context=$work/changed said
    # With the modes that the other context has: they are part of what a layer is made of.
    git clone --quiet "$root" "$context"
    echo 'compile_error!("it is seen");' >>"$context/src/lib.rs"
    said=$(docker build --network host --build-arg BUILDER=ostest-builder "$context" 2>&1) || true
    has 'a changed source is built' "$said" 'compile_error!\("it is seen"\)'
    equal 'and nothing that it depends on' '' "$(grep -E 'Compiling (tokio|clap|git2)' <<<"$said" || true)"
}

demo() {
    local said
    said=$(timeout 120 docker run --rm "${pip[@]}" "${strong[@]}" ostest-runner demo 2>&1) || true
    has 'the demo in a container' "$said" 'Every verdict is what it should be'
}

# The address of the backend's admin API, from here.
admin() { echo "http://$(look "$1" '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'):5000/mock"; }

# statuses ADMIN: of all attempts, sorted.
statuses() {
    curl -sf "$1/attempts" | python3 -c 'import json, sys; print(*sorted(one["status"] for one in json.load(sys.stdin)))'
}
answered() { ! statuses "$1" | grep -qE 'PENDING|IN_PROGRESS'; }
taken() { statuses "$1" | grep -q IN_PROGRESS; }

# task ADMIN STUDENT
task() {
    curl -sf "$1/tasks" -d "{\"repositoryUrl\": \"file:///samples/students/$2\", \"branch\": \"main\", \"laboratoryNumber\": 1}" >/dev/null
}

# One runner, as process 1, with the strong options: a task, a kill, a drain.
single() {
    local backend log
    docker network create ostest >/dev/null
    docker run --rm --user root --volume ostest-samples:/samples ostest-runner demo --samples /samples >/dev/null
    docker run --detach --name backend --network ostest ostest-mock-backend --auth >/dev/null
    docker run --detach --name runner --network ostest --init=false "${pip[@]}" "${strong[@]}" --volume ostest-samples:/samples:ro \
        --health-interval 2s --env RUNNER_BACKEND_URL=http://backend:5000 --env RUNNER_AUTH=true --env RUNNER_CHECK_INTERVAL=1 \
        --env RUNNER_TESTS_URL=file:///samples/suite --env RUNNER_ALLOW_LOCAL_REPOSITORIES=true --env RUNNER_TIMEOUT=12 \
        ostest-runner >/dev/null
    backend=$(admin backend)
    task "$backend" passes
    until_ok 60 answered "$backend" || true
    equal 'a task of a container with the strong options' SUCCESS "$(statuses "$backend")"
    has 'bwrap is in force' "$(docker logs runner 2>&1)" 'level="bwrap"'
    until_ok 30 health runner || true
    equal 'it is healthy' healthy "$(look runner '{{.State.Health.Status}}')"

    # What loses its parent is process 1's.
    docker exec runner sh -c '(sleep 0.2; exit 3) & (sleep 0.3) & exit' && sleep 1
    equal 'no zombie stays' '' "$(docker exec runner sh -c 'cat /proc/[0-9]*/stat' 2>/dev/null | awk '/\) Z /')"

    task "$backend" never-ends
    until_ok 20 taken "$backend" || true
    docker kill runner >/dev/null
    docker start runner >/dev/null
    until_ok 20 sh -c 'docker logs --since 20s runner 2>&1 | grep -q "the runner starts.*claims=1"' || true
    log=$(docker logs runner 2>&1)
    has 'what a killed container had taken is taken up again' "$log" 'the runner starts.*claims=1'
    if until_ok 20 task_runs; then pass 'it is in the middle of a task'; else fail 'it is in the middle of a task' "$(docker top runner)"; fi
    docker stop --time 60 runner >/dev/null
    equal 'a stopped container has drained' 0 "$(look runner '{{.State.ExitCode}}')"
    equal 'and has told the backend of its last task' 'ERROR SUCCESS' "$(statuses "$backend")"
    has 'that ended by its own clock' "$(curl -sf "$backend/results")" 'timed out after 12 s'
    has 'and says so' "$(docker logs --tail 5 runner 2>&1)" 'everything that was taken is answered'
    docker rm --force --volumes runner backend >/dev/null
}
health() { [ "$(look "$1" '{{.State.Health.Status}}')" = healthy ]; }
task_runs() { [ "$(docker top runner | grep -c run_tests)" -gt 0 ]; }

# $composer: the program, as it is called.
compose() { (cd "$root" && "$composer" --project-name ostest "$@" 2>&1); }
# running FILTER…: how many containers of compose's runners there are.
running() { docker ps --filter label=com.docker.compose.service=runner "$@" --quiet | wc -l; }
# Sorted names of the folders in the volume of the state.
slots() { docker run --rm --user root --entrypoint sh --volume ostest_state:/s ostest-runner -c 'ls /s' | xargs; }
codes() {
    local id
    for id in $(compose ps --quiet --all runner); do look "$id" '{{.State.ExitCode}}'; done | sort | uniq -c | xargs
}
all_healthy() { [ "$(running --filter health=healthy)" = "$runners" ]; }

# several NAME: with the composer of that name.
several() {
    local backend round expected name=$1
    expected=$(seq "$runners" | sort | xargs)
    OSTEST_PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    # Shorter than people have it: each round waits for it.
    export OSTEST_PORT OSTEST_TIMEOUT=30s
    for round in first second; do
        compose up --no-build --detach --scale "runner=$runners" >"$work/compose.log" || { cat "$work/compose.log" >&2; }
        backend=http://127.0.0.1:$OSTEST_PORT/mock
        until_ok 30 curl -sf -o /dev/null "$backend/attempts" || true
        # The suite's environment is made first, and one of the tasks lasts for OSTEST_TIMEOUT.
        until_ok 240 answered "$backend" || true
        equal "$name, the $round time: the verdicts" 'ERROR FAILURE FAILURE SUCCESS' "$(statuses "$backend")"
        # Before they are warm, all of them have a folder.
        equal "$name, the $round time: a folder for each" "$expected" "$(slots)"
        if [ "$round" = first ]; then
            until_ok 90 all_healthy || true
            equal "$name: all are healthy" "$runners" "$(running --filter health=healthy)"
            compose stop runner >/dev/null
            equal "$name: all have stopped as asked" "$runners 0" "$(codes)"
            # Other containers, with other names, and what those before them left.
            compose down >/dev/null
        fi
    done
    compose down --volumes >/dev/null
}

engine_begin
import_base "$tree"
make_builder ostest-builder
say "the builder is made after $SECONDS s"
build ostest-mock-backend --target mock-backend
build ostest-runner
image
layers
demo
single
# As compose.yaml has it; all of it is there already.
if composer=docker-compose compose build --build-arg BUILDER=ostest-builder >"$work/compose-build.log"; then
    pass 'compose builds the images'
else
    fail 'compose builds the images' "$(tail -n 20 "$work/compose-build.log")"
fi
composer=docker-compose several 'compose, version 1'
if composer=$(newer_compose); then
    several "compose, version $("$composer" version --short)"
else
    # The older one has shown that compose.yaml holds; that another release of Debian can be reached is not the gate's business.
    say "SKIPPED, THE NEWER COMPOSE WAS NOT TRIED: $(tail -n 1 "$cache/compose/log")"
fi
[ "$bad" = 0 ] || die "FAILED after $SECONDS s: $bad of $((good + bad)) checks"
say "$good checks passed after $SECONDS s"
