# shellcheck shell=bash
# The builder of the images where none can be pulled and no crate can be fetched: this machine's Rust, the crates that cargo
# has here, and what it has built of them. docs/container.md tells people of it. To be sourced after lib.sh.

# make_builder TAG: an image with all that, for `--build-arg BUILDER=TAG`. With OSTEST_DOCKER_COLD=1 nothing is built in it.
# shellcheck disable=SC2154 # $work, $target, $base are those of the files that it is sourced after
make_builder() {
    local context=$work/builder sysroot home
    sysroot=$(rustc --print sysroot)
    # The same path there as here, for cargo compares what it has built with where its sources are.
    home=$(realpath "${CARGO_HOME:-$HOME/.cargo}")
    mkdir -p "$context"/{toolchain,home/registry,release}
    # Links, not copies, where that can be; into a folder that is there, for the second try finds what the first has made.
    link() { cp -al "$@" 2>/dev/null || cp -a "$@"; }
    mkdir "$context/toolchain/bin"
    link "$sysroot"/bin/{cargo,rustc} "$context/toolchain/bin/"
    link "$sysroot/lib" "$context/toolchain/"
    rm -rf "$context"/toolchain/lib/rustlib/{src,wasm*}
    link "$home"/registry/{cache,index} "$context/home/registry/"
    if [ "${OSTEST_DOCKER_COLD:-}" != 1 ] && [ -d "$target/release/.fingerprint" ]; then
        link "$home/registry/src" "$context/home/registry/"
        link "$target"/release/{deps,build,.fingerprint} "$context/release/"
        # Not the project itself, nor what differs with the libraries that a machine has: here zlib may be the system's.
        rm -rf "$context"/release/{deps,build,.fingerprint}/{,lib}{ostest,mock,runner,soak,bench,libz}[-_]*
    fi
    cat >"$context/Dockerfile" <<END
FROM $base
COPY toolchain /usr/local/
COPY home $home/
COPY release /build/target/release/
ENV CARGO_HOME=$home CARGO_NET_OFFLINE=true
END
    docker build --network host --tag "$1" "$context" >"$work/build.log" 2>&1 || {
        tail -n 20 "$work/build.log" >&2
        die "FAILED: the builder $1 is not built"
    }
    rm -rf "$context"
}
