# Images of the runner (target `runner`, the default) and of the mock backend (target `mock-backend`).
#
#     docker build -t ostest-runner .
#     docker build -t ostest-mock-backend --target mock-backend .
#
# Nothing here needs BuildKit. BUILDER is any image with cargo, rustc and Debian bookworm's C library; BASE is Debian
# bookworm. Where neither a registry of images nor one of crates can be reached, hand in images of your own: see
# docs/container.md.

ARG BUILDER=rust:1.89-slim-bookworm
ARG BASE=debian:bookworm-slim

FROM ${BUILDER} AS build
# Only what the builder lacks: one that has it all needs no network for this.
RUN set -e; \
    missing=; \
    command -v cc >/dev/null || missing="gcc libc6-dev"; \
    command -v make >/dev/null || missing="$missing make"; \
    command -v pkg-config >/dev/null || missing="$missing pkg-config"; \
    [ -e /usr/include/openssl/ssl.h ] || missing="$missing libssl-dev"; \
    [ -z "$missing" ] || { \
        apt-get update; \
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; \
        rm -rf /var/lib/apt/lists/*; \
    }
WORKDIR /build

# The dependencies, apart from the source: this layer is made anew only where a manifest or the lock file changes.
# Cargo wants a file for each program that a manifest names; empty ones do. What was built of them is forgotten by
# name, since the real files may be older than they are.
COPY Cargo.toml Cargo.lock ./
COPY crates/report/Cargo.toml crates/report/
COPY crates/sandbox/Cargo.toml crates/sandbox/
COPY crates/text/Cargo.toml crates/text/
COPY mock-backend/Cargo.toml mock-backend/
COPY tools/Cargo.toml tools/
RUN set -e; \
    mkdir -p src benches; \
    for package in crates/* mock-backend tools; do mkdir $package/src; touch $package/src/lib.rs; done; \
    touch src/lib.rs; \
    for program in src mock-backend/src; do \
        echo 'fn main() {}' >$program/main.rs; \
    done; \
    for bench in $(sed -n '/^\[\[bench\]\]/{n;s/name = "\(.*\)"/\1/p}' Cargo.toml); do \
        echo 'fn main() {}' >benches/$bench.rs; \
    done; \
    cargo build --release --locked --bin runner --package ostest-runner --package mock-backend --bin mock-backend; \
    rm -rf src benches crates/*/src mock-backend/src target/release/.fingerprint/ostest-* target/release/.fingerprint/mock-backend-*

COPY . .
# For `runner --version`, where the commit of the tree and the day of the build are not to be said.
ARG OSTEST_BUILD_COMMIT=
ARG OSTEST_BUILD_DATE=
RUN cargo build --release --locked --bin runner --package ostest-runner --package mock-backend --bin mock-backend

FROM ${BASE} AS mock-backend
RUN useradd --uid 10002 --user-group --no-create-home --shell /usr/sbin/nologin mock-backend
COPY --from=build /build/target/release/mock-backend /usr/bin/mock-backend
USER mock-backend
EXPOSE 5000
STOPSIGNAL SIGTERM
ENTRYPOINT ["mock-backend", "--host", "0.0.0.0"]

# What a suite for C programs needs; see docs/container.md for an image with more. No git: libgit2 is in the runner.
FROM ${BASE} AS runner
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        bubblewrap ca-certificates gcc libc6-dev libssl3 make python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
# A user of its own; the ids are fixed, since volumes and secrets are given to them. The state folder is this user's
# before it becomes a volume, and so are the volumes that an engine makes of it.
RUN useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin ostest-runner \
    && install -d -o ostest-runner -g ostest-runner -m 0700 /var/lib/ostest-runner
COPY --from=build /build/target/release/runner /usr/bin/runner
USER ostest-runner
WORKDIR /home/ostest-runner
ENV RUNNER_STATE_DIR=/var/lib/ostest-runner \
    RUNNER_LISTEN=127.0.0.1:9180
VOLUME /var/lib/ostest-runner
# The first: no more tasks are taken, what runs is finished.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m --retries=3 CMD ["runner", "healthcheck"]
# As PID 1 the runner is an init too: it hands signals on and reaps what loses its parent.
ENTRYPOINT ["runner"]
