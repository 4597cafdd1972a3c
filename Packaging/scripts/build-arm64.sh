#!/usr/bin/env bash
# Builds the release program for 64-bit Arm boards (Debian 12 or newer, Raspberry Pi OS, Ubuntu 22.04 or newer) on an amd64 machine and leaves it
# in .artefacts/arm64/skerry, without symbols. Needs root, and what Packaging/scripts/arm64-sdk.sh makes. It is also the check that Debian's
# older Swift compiler accepts the source.
#
# Environment:
#   SKERRY_ARM64        the directory arm64-sdk.sh filled; ~/.cache/skerry/arm64 when not set
#   SKERRY_GIT_CONFIG   a git configuration to fetch the packages with, e.g. one that names a mirror
#   SKERRY_MIRROR       a directory that this configuration speaks of; it is seen by the build at the same path, read-only
set -euo pipefail
cd "$(dirname "$0")/../.."
. Packaging/lib.sh

directory=${SKERRY_ARM64:-${XDG_CACHE_HOME:-$HOME/.cache}/skerry/arm64}
host=$directory/host
[ "$(id -u)" -eq 0 ] || fail "this builds in a Debian system of its own and needs root"
[ -e "$directory/bundle.done" ] || fail "first run Packaging/scripts/arm64-sdk.sh"

# A copy, so that nothing here changes while it builds and nothing of root's is left here. It keeps the times of the files: only what changed is built.
rm -rf "$host/src"
mkdir -p "$host/src" "$host/build"
sources=(Package.swift Sources Tests)
[ ! -e Package.resolved ] || sources+=(Package.resolved)
tar -c "${sources[@]}" | tar -x -C "$host/src"
cp /etc/resolv.conf "$host/etc/resolv.conf"
[ -z "${SKERRY_GIT_CONFIG:-}" ] || cp "$SKERRY_GIT_CONFIG" "$host/root/.gitconfig"

say "Building skerry for arm64. The first time takes 10 to 40 minutes on two cores."
# In a mount namespace of its own: what is mounted for the build is gone when it ends, however it ends. Swift reads its arguments from /proc.
unshare --mount --propagation private bash -euc '
    host=$1 mirror=$2
    mount -t proc proc "$host/proc"
    mount --rbind /dev "$host/dev"
    if [ -n "$mirror" ]; then
        mkdir -p "$host/$mirror"
        mount --bind "$mirror" "$host/$mirror"
        mount -o remount,bind,ro "$host/$mirror"
    fi
    exec chroot "$host" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -euc "
        cd /src
        swift build -c release --swift-sdk skerry-arm64 --static-swift-stdlib --scratch-path /build --product skerry
        aarch64-linux-gnu-strip -o /build/skerry.stripped /build/aarch64-unknown-linux-gnu/release/skerry
    "
' build "$host" "${SKERRY_MIRROR:-}" || fail "the build failed; the lines above say where"

artefacts=.artefacts/arm64
mkdir -p "$artefacts"
install -m 0755 "$host/build/skerry.stripped" "$artefacts/skerry"
say "$artefacts/skerry has $(($(stat -c %s "$artefacts/skerry") / 1000)) kB"
