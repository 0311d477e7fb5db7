#!/bin/sh
# Installs what the GPU tests need on Debian or Ubuntu (x86-64), with no GPU in the machine: Mesa's
# software Vulkan (lavapipe) and, into build/gpu, Dawn as a shared library (npm; pinned and checked by
# tests/gpu/package-lock.json). Elsewhere it says what to look for. Uses sudo unless it runs as root; what
# is there already is left alone.
set -eu
cd "$(dirname "$0")/.."
needed="a Vulkan driver (Mesa 24 or later for lavapipe), libvulkan1 and Dawn's library, which INGLE_DAWN names"
if ! command -v apt-get >/dev/null || [ "$(uname -m)" != x86_64 ]; then
    echo "install_gpu: not Debian or Ubuntu on x86-64. Needed: $needed" >&2
    exit 1
fi
if ! command -v npm >/dev/null; then
    echo "install_gpu: npm is missing" >&2
    exit 1
fi
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"

apt() {
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get "$@"
}

# The driver's major version, 0 if it is not installed.
mesa() {
    version=$(dpkg-query -W -f '${db:Status-Status} ${Version}' mesa-vulkan-drivers 2>/dev/null || true)
    case $version in
    "installed "*) echo "${version#installed }" | sed 's/^[0-9]*://; s/[^0-9].*//' ;;
    *) echo 0 ;;
    esac
}

# Debian 12's own Mesa lacks 16-bit floats and subgroups of a fixed size: there it comes from backports,
# from the same place and with the same key as the system's packages.
add_backports() {
    if apt-cache policy | grep -q bookworm-backports; then
        return
    fi
    if [ -f /etc/apt/sources.list.d/debian.sources ]; then
        awk 'BEGIN { RS = "" } NR == 1' /etc/apt/sources.list.d/debian.sources |
            sed 's/^Suites:.*/Suites: bookworm-backports/' |
            $sudo tee /etc/apt/sources.list.d/backports.sources >/dev/null
    else
        sed -n 's/^\(deb .*\) bookworm main.*/\1 bookworm-backports main/p' /etc/apt/sources.list | head -n 1 |
            $sudo tee /etc/apt/sources.list.d/backports.list >/dev/null
    fi
    apt update
}

install_mesa() {
    suite=""
    . /etc/os-release
    if [ "${VERSION_CODENAME:-}" = bookworm ]; then
        suite="-t bookworm-backports"
        add_backports
    fi
    # shellcheck disable=SC2086
    apt install -y --no-install-recommends $suite mesa-vulkan-drivers libvulkan1 || {
        apt update # lists that are missing or old
        # shellcheck disable=SC2086
        apt install -y --no-install-recommends $suite mesa-vulkan-drivers libvulkan1
    }
}

[ "$(mesa)" -ge 24 ] || install_mesa
[ "$(mesa)" -ge 24 ] || echo "install_gpu: this system's Mesa is older than 24: its lavapipe lacks what kernels use" >&2

mkdir -p build/gpu
cp tests/gpu/package.json tests/gpu/package-lock.json tests/gpu/.npmrc build/gpu/
cd build/gpu
if ! cmp -s package-lock.json installed.json; then
    npm ci --ignore-scripts --loglevel=error || npm ci --ignore-scripts --loglevel=error # registries fail at times
    cp package-lock.json installed.json
fi
ls node_modules/*/*.so
