#!/usr/bin/env python3
"""A computer with SocketCAN, for hosts whose kernel has none: Debian's kernel in QEMU, this host's files as its root.

    packaging/ci/can_vm.py --prepare       fetch the kernel with apt-get and build the image (once, 71 MB, about 10 s)
    packaging/ci/can_vm.py SCRIPT.py       run SCRIPT.py in the guest with this interpreter, print its result
    packaging/ci/can_vm.py --count SCRIPT.py    the same on a clock that counts instructions, one for each nanosecond:
                                           for comparisons that the load of the host must not change; slower

The guest sees the whole file system of the host read-only over 9p, so interpreter, virtual environment and working
tree are simply there, under their own paths. It has `vcan`, two emulated Kvaser PCI cards (SJA1000) on one bus, and a
watchdog card (i6300ESB); they are up to the script to configure. A reset ends it. The script's result is its one line
`CARDAN-RESULT {json}` on the serial console.
No KVM: TCG gives the same on every computer.

Environment: CARDAN_CAN_VM_CACHE replaces $XDG_CACHE_HOME/cardan/can_vm.
Exit: 0 result printed; 1 the guest failed, its console is on stderr; 77 cannot run here, the reason is on stderr.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SKIPPED = 77
RESULT = "CARDAN-RESULT "
GUEST_LIMIT_S = 150
DOWNLOAD_LIMIT_S = 180
COUNTING = ["-icount", "shift=0,sleep=off"]
MODULES = [
    "virtio_pci",
    "9pnet_virtio",
    "9p",
    "can_raw",
    "can_bcm",
    "can_isotp",
    "vcan",
    "kvaser_pci",
    "sch_tbf",
    "i6300esb",
]
KERNEL_ARGUMENTS = "console=ttyS0 quiet panic=-1 mitigations=off clocksource=tsc tsc=reliable"
"""The default clock source is an emulated device: each look at it would cost as much as ten system calls."""
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /dev /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
echo 1 > /proc/sys/kernel/printk
for module in $(/bin/busybox cat /modules); do
    /bin/busybox insmod /$module || echo "cannot load $module"
done
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 host /root
/bin/busybox mount -t proc proc /root/proc
/bin/busybox mount -t sysfs sys /root/sys
/bin/busybox mount -t devtmpfs dev /root/dev
/bin/busybox mount -t tmpfs run /root/run
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
/bin/busybox chroot /root "$cardan_python" "$cardan_script" </dev/null
/bin/busybox poweroff -f
"""
IMAGE_NAME = "image-" + hashlib.sha256(" ".join([INIT, *MODULES]).encode()).hexdigest()[:12]
"""An image that another edition of this script made is not used."""


class CannotRunHere(Exception):
    """This host lacks something; the text says what and how to get it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepare", action="store_true", help="fetch and build what the guest boots from")
    parser.add_argument("script", nargs="?", type=Path, help="what to run in the guest")
    parser.add_argument("--count", action="store_true", help="the guest's clock counts instructions")
    arguments = parser.parse_args()
    if arguments.prepare == (arguments.script is not None):
        parser.error("give --prepare or a script")
    try:
        if arguments.prepare:
            say(f"the CAN guest boots from {prepare()}")
            return 0
        return run(arguments.script.resolve(), COUNTING if arguments.count else [])
    except CannotRunHere as reason:
        say(f"{reason}")
        return SKIPPED


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


# ------------------------------------------------------------------------------------------------------------ the run


def run(script: Path, options: list[str]) -> int:
    if shutil.which("qemu-system-x86_64") is None:
        raise CannotRunHere("qemu-system-x86_64 is not installed: packaging/ci/can_vm.sh installs it")
    image = newest_image_or_none()
    if image is None:
        raise CannotRunHere(f"no kernel in {cache_folder()}: packaging/ci/can_vm.sh fetches it")
    words = {"cardan_python": sys.executable, "cardan_script": str(script)}
    if any(re.search(r"[\s\"]", word) for word in words.values()):
        raise CannotRunHere(f"a path with a space does not fit on the guest's command line: {words}")
    append = " ".join([KERNEL_ARGUMENTS, *(f"{key}={value}" for key, value in words.items())])
    console = boot(image, [*options, "-append", append])
    results = [line.partition(RESULT)[2] for line in console.splitlines() if RESULT in line]
    if len(results) != 1:
        say(f"the guest gave {len(results)} results. Its console:\n{console[-6000:]}")
        return 1
    sys.stdout.write(results[0] + "\n")
    return 0


def boot(image: Path, options: list[str]) -> str:
    """Everything the guest wrote on its serial console."""
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512", "-smp", "1"]
    command += ["-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-nic", "none"]
    command += ["-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initramfs.cpio"), *options]
    command += ["-device", "i6300esb", "-object", "can-bus,id=bus0", *["-device", "kvaser_pci,canbus=bus0"] * 2]
    command += ["-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=GUEST_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        return (expired.stdout or b"").decode(errors="replace") + f"\n(ended after {GUEST_LIMIT_S} s)"
    return done.stdout.decode(errors="replace").replace("\r", "")


# --------------------------------------------------------------------------------------------------------- the image


def cache_folder() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("CARDAN_CAN_VM_CACHE") or base / "cardan" / "can_vm")


def newest_image_or_none() -> Path | None:
    images = sorted(cache_folder().glob(f"{IMAGE_NAME}-*"), key=lambda path: path.stat().st_mtime)
    return images[-1] if images else None


def prepare() -> Path:
    """The folder with `vmlinuz` and `initramfs.cpio`; made complete or not at all."""
    image = newest_image_or_none()
    if image is not None:
        return image
    if platform.machine() != "x86_64":
        raise CannotRunHere(f"the recipe is for x86_64, this is {platform.machine()}")
    for tool in ("apt-get", "dpkg-deb", "cpio"):
        if shutil.which(tool) is None:
            raise CannotRunHere(f"{tool} is not installed")
    kernel = kernel_package()
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="building-") as name:
        work = Path(name)
        unpack_packages([kernel, "busybox-static"], work / "root")
        (work / "image").mkdir()
        vmlinuz = next((work / "root" / "boot").glob("vmlinuz-*"))
        shutil.copyfile(vmlinuz, work / "image" / "vmlinuz")
        build_initramfs(work)
        target = cache / f"{IMAGE_NAME}-{kernel}"
        try:
            (work / "image").rename(target)
        except OSError:
            if not target.exists():  # else somebody else was faster, with the same content
                raise
    return target


def kernel_package() -> str:
    """What `linux-image-amd64` stands for now. The -cloud kernels have no CAN."""
    answer = apt(["apt-cache", "depends", "linux-image-amd64"], Path.cwd())
    found = re.search(r"Depends: (linux-image-[\w.+-]+-amd64)$", answer, re.MULTILINE)
    if found is None:
        raise CannotRunHere("apt knows no linux-image-amd64: `apt-get update`?")
    return found.group(1)


def unpack_packages(packages: list[str], root: Path) -> None:
    downloads = root.parent / "downloads"
    downloads.mkdir()
    apt(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *packages], downloads)
    for package in downloads.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True, timeout=DOWNLOAD_LIMIT_S)


def apt(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CannotRunHere(f"{' '.join(command)} took more than {DOWNLOAD_LIMIT_S} s") from error
    if done.returncode != 0:
        raise CannotRunHere(f"{' '.join(command)} failed: {done.stderr.strip()[-400:]}")
    return done.stdout


def build_initramfs(work: Path) -> None:
    """Not compressed: the emulated processor would need longer to unpack it than to read it."""
    files = work / "initramfs"
    (files / "bin").mkdir(parents=True)
    shutil.copy(work / "root" / "bin" / "busybox", files / "bin" / "busybox")
    order = []
    for module in in_load_order(module_files(work / "root")):
        shutil.copyfile(module, files / module.name)
        order.append(module.name)
    (files / "modules").write_text("\n".join(order) + "\n")
    (files / "init").write_text(INIT)
    (files / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(files)) for path in sorted(files.rglob("*")))
    with (work / "image" / "initramfs.cpio").open("wb") as stream:
        subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc"],
            cwd=files,
            input=names.encode(),
            stdout=stream,
            check=True,
            timeout=DOWNLOAD_LIMIT_S,
        )


def module_files(root: Path) -> dict[str, Path]:
    paths = [*root.glob("lib/modules/*/kernel/**/*.ko"), *root.glob("usr/lib/modules/*/kernel/**/*.ko")]
    return {path.stem.replace("-", "_"): path for path in paths}


def in_load_order(files: dict[str, Path]) -> Iterator[Path]:
    """MODULES with everything they depend on, which comes first. A name without a file is built into the kernel."""
    seen: set[str] = set()

    def visit(name: str) -> Iterator[Path]:
        if name in seen or name not in files:
            return
        seen.add(name)
        found = re.search(rb"\0depends=([^\0]*)\0", files[name].read_bytes())
        for dependency in found.group(1).decode().split(",") if found else []:
            yield from visit(dependency.replace("-", "_"))
        yield files[name]

    for name in MODULES:
        yield from visit(name)


if __name__ == "__main__":
    raise SystemExit(main())
