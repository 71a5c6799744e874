# shellcheck shell=bash
# Set-up shared by scripts/demo, scripts/bench, scripts/test and .ci/run: sourced, never run.
#
# Owns what must be on the machine before nfq-guard runs from this checkout: Debian packages, and .venv from the
# lock files. A stamp makes the second call cheap; it is written last and removed first, so a call that was cut
# short is repaired by the next. Must never touch anything but the package manager and .venv.

GUARD_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
GUARD_VENV=$GUARD_ROOT/.venv
export PATH=$PATH:/usr/sbin:/sbin # where nft and ip are, which a plain user's PATH may lack

# What runs (nft, conntrack, ip; netbase for the names of protocols), and what the one source distribution of the
# lock (NetfilterQueue) is built with.
GUARD_PACKAGES=(nftables conntrack iproute2 netbase libnetfilter-queue-dev gcc libc6-dev)
# What Debian's own Python needs on top, to make a virtual environment and build for it.
GUARD_PYTHON_PACKAGES=(python3 python3-venv python3-dev)

say() { printf '%s\n' "$*" >&2; }
die() { # LINE...
    printf '%s\n' "$@" >&2
    exit 3
}

# setup_guard runtime|bench|dev: leave a working .venv/bin/nfq-guard; with bench also what draws charts, with dev
# that and what the tests need.
setup_guard() {
    local what=$1 lock
    exec {lock}<"$GUARD_ROOT/pyproject.toml"
    flock "$lock" # a demo and a test run started together must not build one .venv at once
    setup_debian_packages
    [ "$what" != dev ] || setup_browser
    setup_python
    setup_venv "$what"
    exec {lock}<&-
}

# -- Debian packages ------------------------------------------------------------------------------------------

setup_debian_packages() {
    local missing=() wanted=("${GUARD_PACKAGES[@]}")
    if ! command -v dpkg-query >/dev/null; then
        setup_not_debian
        return
    fi
    [ -n "${PYTHON:-}" ] || wanted+=("${GUARD_PYTHON_PACKAGES[@]}")
    mapfile -t missing < <(packages_missing "${wanted[@]}")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        die "These Debian packages are missing and only root can install them. Once, run:" \
            "    apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "Installing Debian packages: ${missing[*]}"
    install_packages "${missing[@]}"
}

packages_missing() {
    local name installed
    installed=$(dpkg-query --show --showformat='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
    for name in "$@"; do
        grep -qxF "$name installed" <<<"$installed" || printf '%s\n' "$name"
    done
}

install_packages() {
    local log
    log=$(mktemp)
    if apt_install "$log" "$@"; then
        rm -f "$log"
        return
    fi
    # No package lists yet, or lists so old that the servers no longer have what they name.
    say "Updating the package lists"
    if apt-get -qq update >>"$log" 2>&1 && apt_install "$log" "$@"; then
        rm -f "$log"
        return
    fi
    tail -n 20 "$log" >&2
    rm -f "$log"
    die "apt-get could not install: $*" "Is the network up, and are Debian's package sources configured?"
}

apt_install() {
    local log=$1
    shift
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@" \
        >>"$log" 2>&1 </dev/null
}

setup_not_debian() {
    local missing=() tool
    for tool in nft conntrack ip gcc; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    [ ${#missing[@]} -eq 0 ] && return
    die "This is not Debian, so nothing is installed for you. Missing commands: ${missing[*]}" \
        "Needed: nftables, conntrack-tools, iproute2, gcc, Python 3.11 or newer with headers, libnetfilter_queue headers."
}

# -- Python ---------------------------------------------------------------------------------------------------

# Sets PYTHON. Debian's own comes first: its headers are the packages above; another may have none.
setup_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} /usr/bin/python3 python3; do
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            PYTHON=$candidate
            return
        fi
        [ -z "${PYTHON:-}" ] || break
    done
    die "No Python 3.11 or newer with the venv module found${PYTHON:+ (PYTHON=$PYTHON)}." \
        "Debian 12 has one; elsewhere name it: PYTHON=/path/to/python3.12 $0"
}

# -- the virtual environment -----------------------------------------------------------------------------------

# What the environment is a function of. The checkout's place is part of it: scripts in .venv/bin carry it.
setup_fingerprint() {
    {
        printf '%s\n' "$GUARD_ROOT" "$("$PYTHON" -c 'import sys; print(sys.version, sys.base_prefix)')"
        cat "$GUARD_ROOT"/requirements*.txt "$GUARD_ROOT/pyproject.toml"
    } | sha256sum | cut -d ' ' -f 1
}

setup_venv() {
    local what=$1 fingerprint enough stamp=$GUARD_VENV/.complete
    fingerprint=$(setup_fingerprint)
    # The stamp's line is what is complete: `runtime HASH`. Each has all that the one before has.
    case $what in
    runtime) enough="runtime|bench|dev" ;;
    bench) enough="bench|dev" ;;
    *) enough=$what ;;
    esac
    if [ -x "$GUARD_VENV/bin/nfq-guard" ] && [ -f "$stamp" ]; then
        grep -qxE "($enough) $fingerprint" "$stamp" && return
    fi
    # A virtual environment with a stamp was whole: it is brought up to date. Anything else is made anew.
    if [ ! -f "$stamp" ] || ! "$GUARD_VENV/bin/python" -c 'import pip' 2>/dev/null; then
        say "Making the virtual environment .venv with $("$PYTHON" --version)"
        "$PYTHON" -m venv --clear "$GUARD_VENV" || die "Python could not make a virtual environment in $GUARD_VENV"
    fi
    rm -f "$stamp"
    say "Installing the pinned packages ($what)"
    # The build tools are pinned too: with build isolation pip would fetch them unpinned for each source package.
    setup_pip --require-hashes --requirement "$GUARD_ROOT/requirements-build.txt"
    case $what in
    runtime) setup_pip --require-hashes --no-build-isolation --requirement "$GUARD_ROOT/requirements.txt" ;;
    *) setup_pip --require-hashes --no-build-isolation --requirement "$GUARD_ROOT/requirements-$what.txt" ;;
    esac
    setup_pip --no-deps --no-build-isolation --editable "$GUARD_ROOT"
    [ "$what" != dev ] || setup_promtool
    "$GUARD_VENV/bin/nfq-guard" version >/dev/null || die "nfq-guard was installed but does not start"
    printf '%s\n' "$what $fingerprint" >"$stamp"
}

setup_pip() {
    local log
    log=$(mktemp)
    if ! "$GUARD_VENV/bin/pip" --disable-pip-version-check install "$@" </dev/null >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        rm -f "$log"
        die "pip could not install what the lock files pin; its last lines stand above." \
            "Is the network up? The next call starts from a clean virtual environment."
    fi
    rm -f "$log"
}

# The alert rules are tested by Prometheus' own tool. Only its file is taken out of the Debian package: to install the
# package would start a Prometheus server. Without it those tests are skipped by name.
setup_promtool() {
    local folder
    [ ! -x "$GUARD_VENV/bin/promtool" ] || return 0
    command -v apt-get dpkg-deb >/dev/null || return 0
    folder=$(mktemp -d)
    if setup_download "$folder" || { [ "$(id -u)" -eq 0 ] && apt-get -qq update && setup_download "$folder"; }; then
        dpkg-deb --fsys-tarfile "$folder"/prometheus_*.deb | tar -xO ./usr/bin/promtool >"$folder/promtool"
        install -m 755 "$folder/promtool" "$GUARD_VENV/bin/promtool"
    else
        say "promtool could not be had: the tests of the alert rules will be skipped"
    fi
    rm -rf "$folder"
}

setup_download() { (cd "$1" && apt-get -qq download prometheus >/dev/null 2>&1); }

# The web page is tested in a real browser: Chromium's build without a desktop (19 packages, 100 MB to load, 306 MB on
# disk; the whole browser with its driver: 26, 133 and 440). Without it those tests are skipped by name.
setup_browser() {
    local log
    ! command -v chromium-headless-shell >/dev/null || return 0
    ! command -v chromium >/dev/null || return 0
    log=$(mktemp)
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && say "Installing a browser for the tests" &&
        { apt_install "$log" chromium-headless-shell ||
            { apt-get -qq update >>"$log" 2>&1 && apt_install "$log" chromium-headless-shell; }; }; then
        rm -f "$log"
        return
    fi
    rm -f "$log"
    say "No browser could be had (as root: apt-get install --no-install-recommends chromium-headless-shell):" \
        "the tests of the web page in a browser will be skipped"
}

# -- root, or a user namespace in which we are root ------------------------------------------------------------

# run_privileged COMMAND...: replaces the shell. Root runs it as it is. Anyone else runs it inside a user, network
# and mount namespace of its own, if the system allows that; else as it is: the command says what it cannot do.
run_privileged() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    local enter='mount -t tmpfs none /run && ip link set lo up && exec "$@"'
    if [ "$(id -u)" -eq 0 ]; then
        exec "$@"
    fi
    if unshare -Urnm sh -c "${enter/exec \"\$@\"/ip netns add probe}" 2>/dev/null; then
        say "Not root: running inside a user namespace of its own"
        exec unshare -Urnm sh -c "$enter" sh "$@"
    fi
    exec "$@"
}
