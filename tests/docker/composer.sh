# shellcheck shell=bash
# Compose comes twice: `docker-compose`, which Debian bookworm has, and the plugin `docker compose`, which people have.
# To be sourced after tests/vm/lib.sh.

# newer_compose: prints the plugin's program: the one that is installed, or else the next Debian's, unpacked in the cache.
# Fails where it cannot be had.
newer_compose() {
    # shellcheck disable=SC2154 # of tests/vm/lib.sh
    local folder=$cache/compose program
    for program in {/usr/libexec,/usr/lib,/usr/local/libexec,/usr/local/lib}/docker/cli-plugins/docker-compose; do
        if [ -x "$program" ]; then
            echo "$program"
            return
        fi
    done
    program=$folder/usr/libexec/docker/cli-plugins/docker-compose
    if [ ! -x "$program" ]; then
        mkdir -p "$folder/lists/partial"
        # Apart from the machine's own lists; apt checks the signatures.
        echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main' >"$folder/sources.list"
        local apt=(
            apt-get -qq -o "Dir::Etc::SourceList=$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
            -o "Dir::State::Lists=$folder/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
            -o Acquire::Languages=none -o APT::Sandbox::User=root
        )
        (cd "$folder" && "${apt[@]}" update && "${apt[@]}" download docker-compose && dpkg-deb --extract docker-compose_*.deb .) \
            >"$folder/log" 2>&1 || return 1
    fi
    echo "$program"
}
