#!/usr/bin/env bash
# What the SocketCAN lane (tests/can_vm) needs: QEMU, and Debian's kernel in the cache. May run again and again.
# Where that cannot be had, it says why and ends well: the lane then skips with the same reason.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec </dev/null

skip() {
    echo "SocketCAN lane: skipped, $*"
    exit 0
}

[ "$(uname -m)" = x86_64 ] || skip "the recipe is for x86_64"
command -v apt-get >/dev/null || skip "it needs Debian's packages"

missing=()
command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
command -v cpio >/dev/null || missing+=(cpio)
command -v ip >/dev/null || [ -x /usr/sbin/ip ] || missing+=(iproute2)
if [ ${#missing[@]} -gt 0 ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    timeout 120 "${as_root[@]}" apt-get update -qq || skip "apt-get update failed"
    timeout 300 "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || skip "cannot install ${missing[*]}"
fi

status=0
timeout 600 "${PYTHON:-python3}" can_vm.py --prepare || status=$?
[ "$status" -eq 0 ] || skip "the guest's image was not made (status $status)"
