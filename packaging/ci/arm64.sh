#!/usr/bin/env bash
# Run tests on aarch64, as a Jetson has it, in user emulation: as root on Debian, with mmdebstrap and qemu-user-static.
# The first time makes a small Debian for it (four minutes, 1 GB in the user's cache).
#
#   packaging/ci/arm64.sh                                   # bus, safety code, compiled parts: two minutes
#   packaging/ci/arm64.sh tests/engines/test_block_means.py -k mean
#
# The emulator knows no subreaper, so no supervisor starts in it, and not every option of a socket, so no bench bus opens;
# it keeps stores in the order of the host, and its times mean nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=${PYTHON:-python3}
root=${CARDAN_ARM64_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/cardan/arm64-root}
chosen=("$@")
[ ${#chosen[@]} -gt 0 ] || chosen=(
    tests/runtime/bus tests/engines/test_{block_means,preprocess,validate,schedule}.py
    tests/firmware_bridge/test_{codec,codec_source,dbc,e2e,engage,envelope,gate,guard,limits,safe_stop}.py
)

fail() {
    echo "$1" >&2
    exit 77
}
[ "$(id -u)" -eq 0 ] || fail "this mounts and changes root: run it as root"
command -v mmdebstrap >/dev/null || fail "apt install mmdebstrap"
[ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null || true
[ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || fail "apt install qemu-user-static binfmt-support"

if [ ! -e "$root/made" ]; then
    echo "making $root ..."
    rm -rf --one-file-system "$root"
    mkdir -p "$root"
    mmdebstrap --quiet --arch=arm64 --variant=minbase --include=python3,python3-venv,python3-dev,gcc,libc6-dev \
        --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' bookworm "$root"
    chroot "$root" python3 -m venv --without-pip /venv
    echo /site >"$root/venv/lib/python3.11/site-packages/site.pth"
    touch "$root/made"
fi

# Wheels for aarch64 are unpacked by the host's pip, which needs no emulation.
mapfile -t packages < <("$python" - <<'EOF'
import re
try:
    import tomllib
except ImportError:
    import tomli as tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = ("can", "ort", "record", "sim", "import", "sign", "live")
wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
print("\n".join([*(line for line in wanted if ";" not in line), "pytest", "pytest-timeout", "hypothesis", "setuptools>=77"]))
EOF
)
if ! cmp -s <(printf '%s\n' "${packages[@]}") "$root/packages"; then
    rm -rf "$root/site"
    "$python" -m pip install --quiet --target "$root/site" --only-binary=:all: --implementation cp --python-version 3.11 \
        --platform manylinux_2_34_aarch64 --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 \
        --platform any "${packages[@]}"
    printf '%s\n' "${packages[@]}" >"$root/packages"
fi

rm -rf "$root/cardan"
mkdir "$root/cardan"
git ls-files -z | xargs -0 cp --parents --no-dereference --target-directory "$root/cardan"
mounted=()
trap 'for place in "${mounted[@]}"; do umount --lazy "$root/$place"; done' EXIT
for place in proc dev dev/shm; do
    mkdir -p "$root/$place"
    mount --bind "/$place" "$root/$place"
    mounted=("$place" "${mounted[@]}")
done
chroot "$root" /bin/sh -c '
    cd /cardan && export HOME=/root PYTHONPATH=/site:/cardan/src
    /venv/bin/python -c "from setuptools import setup; setup()" --quiet build_ext --inplace 2>&1 | grep -v Warning
    /venv/bin/python -c "
import platform
from cardan.engines import native as engines
from cardan.runtime.bus import native as bus
print(platform.machine(), bus.compiled, engines.compiled)"
    exec /venv/bin/python -m pytest -q -p no:cacheprovider --timeout 300 "$@"' sh "${chosen[@]}"
