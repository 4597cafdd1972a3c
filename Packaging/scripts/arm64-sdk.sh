#!/usr/bin/env bash
# Makes what it takes to build Skerry for 64-bit Arm on an amd64 machine, from Debian's packages alone: a directory with a Debian system that has
# Debian's Swift compiler, and in it the headers, libraries and Swift runtime of the boards. Needs root. Nothing is emulated, nothing is mounted
# afterwards. Safe to run again: it goes on where it left off. Remove the directory to start anew.
#
#   Packaging/scripts/arm64-sdk.sh        then Packaging/scripts/build-arm64.sh
#
# Environment:
#   SKERRY_ARM64           the directory, 6 GB; ~/.cache/skerry/arm64 when not set
#   SKERRY_DEBIAN_MIRROR   where Debian's packages come from; what mmdebstrap chooses when not set
set -euo pipefail
cd "$(dirname "$0")/../.."
. Packaging/lib.sh

[ "$(id -u)" -eq 0 ] || fail "this makes a Debian system and needs root"
[ "$(dpkg --print-architecture)" = amd64 ] || fail "this runs on amd64"
need_packages mmdebstrap

directory=${SKERRY_ARM64:-${XDG_CACHE_HOME:-$HOME/.cache}/skerry/arm64}
host=$directory/host
mirror=(${SKERRY_DEBIAN_MIRROR:+"$SKERRY_DEBIAN_MIRROR"})
# The oldest Debian that the program is to run on: what is linked against an older C library runs with every newer one.
suite=bookworm gcc=12
sysroot=$host/sysroot
# A board, and a machine that was off, may have a clock that says the mirror's signature is of the past.
options=(
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"'
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*'
)
mkdir -p "$directory"

# Each step leaves a mark when it is complete, so that one that was interrupted is done again.
done_with() { [ -e "$directory/$1.done" ]; }
complete() { touch "$directory/$1.done"; }

if ! done_with host; then
    say "1 of 4: a Debian system with Swift (downloads 500 MB)"
    rm -rf "$host"
    rm -f "$directory"/*.done
    # No -dev package of a library, no pkg-config: SwiftPM would take their amd64 directories for the program's.
    mmdebstrap --quiet --variant=minbase "${options[@]}" \
        --include=swiftlang,swiftlang-dev,git,ca-certificates,libc6-dev,g++,lld,binutils-aarch64-linux-gnu \
        sid "$host" "${mirror[@]}"
    complete host
fi

if ! done_with sysroot; then
    say "2 of 4: headers and libraries of Debian $suite for arm64"
    rm -rf "$sysroot"
    # Unpacked only: no program of theirs runs.
    mmdebstrap --quiet --variant=extract --arch=arm64 --skip=check/qemu "${options[@]}" \
        --include="libc6-dev,libstdc++-$gcc-dev,libgcc-$gcc-dev,libsqlite3-dev,zlib1g-dev" "$suite" "$sysroot" "${mirror[@]}"
    # Links that begin at the root would leave this directory.
    find "$sysroot" -type l -lname '/*' | while read -r link; do ln -snfr "$sysroot$(readlink "$link")" "$link"; done
    complete sysroot
fi

if ! done_with runtime; then
    say "3 of 4: the Swift runtime for arm64 (downloads 500 MB)"
    # Of the very version of the compiler: Swift modules of another one cannot be read.
    chroot "$host" sh -euc '
        version=$(dpkg-query -W -f "\${Version}" swiftlang)
        dpkg --add-architecture arm64
        apt-get -qq -o Acquire::Check-Valid-Until=false update
        cd /tmp
        apt-get -qq -o APT::Sandbox::User=root download "swiftlang:arm64=$version" "libswiftlang:arm64=$version"
    '
    libraries=./usr/libexec/swift/lib
    unpack() { dpkg-deb --fsys-tarfile "$1" | tar -x -C "$sysroot" --transform "s,^$libraries,./usr/lib,S" "${@:2}"; }
    unpack "$host"/tmp/swiftlang_*_arm64.deb $libraries/swift $libraries/swift_static $libraries/clang
    unpack "$host"/tmp/libswiftlang_*_arm64.deb $libraries/swift
    rm "$host"/tmp/*swiftlang_*_arm64.deb
    complete runtime
fi

if ! done_with bundle; then
    say "4 of 4: the description for SwiftPM"
    # Debian builds its Swift runtime with a C library newer than the boards'. These are the functions of it that the older one lacks;
    # libc_nonshared.a is what every program links, and `ar r` replaces, so this may run again.
    cat >"$host/tmp/shim.c" <<'TEXT'
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define HIDDEN __attribute__((visibility("hidden")))
HIDDEN long __isoc23_strtol(const char *s, char **end, int base) { return strtol(s, end, base); }
HIDDEN long long __isoc23_strtoll(const char *s, char **end, int base) { return strtoll(s, end, base); }
HIDDEN unsigned long __isoc23_strtoul(const char *s, char **end, int base) { return strtoul(s, end, base); }
HIDDEN unsigned long long __isoc23_strtoull(const char *s, char **end, int base) { return strtoull(s, end, base); }
HIDDEN int __isoc23_sscanf(const char *s, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int count = vsscanf(s, format, arguments);
    va_end(arguments);
    return count;
}
HIDDEN size_t strlcpy(char *to, const char *from, size_t room) {
    size_t length = strlen(from);
    if (room > 0) {
        size_t copied = length < room - 1 ? length : room - 1;
        memcpy(to, from, copied);
        to[copied] = 0;
    }
    return length;
}
HIDDEN size_t strlcat(char *to, const char *from, size_t room) {
    size_t there = strnlen(to, room);
    return there == room ? room + strlen(from) : there + strlcpy(to + there, from, room - there);
}
TEXT
    chroot "$host" sh -euc '
        cd /tmp
        /usr/libexec/swift/bin/clang --target=aarch64-linux-gnu --sysroot=/sysroot -std=gnu11 -O2 -fPIC -c shim.c -o shim.o
        aarch64-linux-gnu-ar r /sysroot/usr/lib/aarch64-linux-gnu/libc_nonshared.a shim.o
        rm shim.c shim.o
    '
    bundle=$host/root/.swiftpm/swift-sdks/skerry-arm64.artifactbundle
    mkdir -p "$bundle/sdk"
    cat >"$bundle/info.json" <<'TEXT'
{"schemaVersion": "1.0", "artifacts": {"skerry-arm64": {"type": "swiftSDK", "version": "1.0.0", "variants": [{"path": "sdk"}]}}}
TEXT
    cat >"$bundle/sdk/swift-sdk.json" <<'TEXT'
{"schemaVersion": "4.0", "targetTriples": {"aarch64-unknown-linux-gnu": {
    "sdkRootPath": "/sysroot", "swiftResourcesPath": "/sysroot/usr/lib/swift", "swiftStaticResourcesPath": "/sysroot/usr/lib/swift_static",
    "toolsetPaths": ["toolset.json"]}}}
TEXT
    cat >"$bundle/sdk/toolset.json" <<'TEXT'
{"schemaVersion": "1.0", "rootPath": "/usr/libexec/swift/bin", "swiftCompiler": {"extraCLIOptions": ["-use-ld=lld"]}, "linker": {"path": "ld.lld"}}
TEXT
    complete bundle
fi
say "Ready: $directory. Now Packaging/scripts/build-arm64.sh builds."
