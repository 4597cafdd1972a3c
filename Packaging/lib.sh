# What run and test share. Sourced, not run.

# What it takes to build, and at run time what the program links.
BUILD_PACKAGES=(libsqlite3-dev libssl-dev libmosquitto-dev zlib1g-dev pkg-config ca-certificates git)

say() { printf '\033[1m%s\033[0m\n' "== $*" >&2; }
fail() { printf '%s\n' "$(basename "$0"): $*" >&2; exit 1; }

# Swift 6.2 or newer on the PATH.
need_swift() {
    command -v swift >/dev/null || fail "swift is missing: install Swift 6.2 or newer and put its usr/bin on the PATH"
    local version
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    [ -n "$version" ] || fail "'swift --version' does not answer as expected: is it the Swift compiler?"
    local major=${version%%.*} minor=${version#*.}
    [ "$major" -gt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -ge 2 ]; } || fail "Swift $version is too old: 6.2 or newer is needed"
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = "ii " ]; }

# Installs the Debian packages named that are not there yet; asks for root only then.
need_packages() {
    command -v dpkg-query >/dev/null || fail "dpkg is missing: this needs Debian 12 or newer (or a system made from it)"
    local missing=() package
    for package in "$@"; do is_installed "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "these packages are missing and installing them needs root: ${missing[*]}"
        root=(sudo)
    fi
    say "Installing ${missing[*]}"
    local options=(-qq -o Acquire::Check-Valid-Until=false -o Dpkg::Use-Pty=0)
    if ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${options[@]}" "${missing[@]}" >/dev/null 2>&1; then
        "${root[@]}" apt-get update "${options[@]}" || fail "apt-get update failed: is a Debian mirror reachable?"
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${options[@]}" "${missing[@]}" >/dev/null \
            || fail "these packages could not be installed: ${missing[*]}"
    fi
}
