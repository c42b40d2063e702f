"""Is the computer what its profile says, and able to run in real time?"""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from pathlib import Path

from cardan.runtime.bus import native
from cardan.runtime.bus.ring_layout import file_bytes
from cardan.runtime.detect.processors import online
from cardan.runtime.detect.tree import Tree
from cardan.runtime.doctor.check import Check, Result, Subject, failed, passed, unknown
from cardan.runtime.small_file import small_text

OLDEST_KERNEL = (5, 4)
"""pidfd_open is younger (5.3), and so is what our tests have run on."""
FRAME_ROOM = 64 << 20
"""Shared memory for frame slots beside the rings: ten frames of 1080p."""
SHARED = "/dev/shm"  # noqa: S108 - only its size is read
DESCRIPTORS = 1024
KEEPS_ORDER = frozenset({"x86_64", "i686"})
"""Processors that other processors see store in the order of the program."""
HOT_C = 5.0
"""So near to its critical temperature a zone is too hot."""


def cores(subject: Subject) -> Result:
    """Every processor that a core group names is online."""
    there = set(online(Tree(subject.root)))
    named = {core for group in subject.profile.cores.values() if isinstance(group, list) for core in group}
    if not there:
        return unknown("the kernel does not say which processors are online")
    missing = sorted(named - there)
    if missing:
        listed = ", ".join(map(str, missing))
        return failed(
            f"processors {listed} of the profile are not online ({len(there)} are)",
            f"correct [cores] in the profile {subject.profile.name}, or bring them online",
        )
    return passed(f"{len(there)} processors online" + (f", {len(named)} named in core groups" if named else ""))


def scheduler(subject: Subject) -> Result:
    """Real-time scheduling is allowed as the profile wants it."""
    wanted = subject.profile.realtime
    if wanted.scheduler == "other":
        return passed("the profile wants none")
    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[1]
    allowed = os.geteuid() == 0 or limit == resource.RLIM_INFINITY or limit >= wanted.priority
    if allowed:
        share = small_text(subject.path("/proc/sys/kernel/sched_rt_runtime_us"))
        return passed(f"SCHED_FIFO {wanted.priority} is allowed" + _throttle(share))
    text = f"SCHED_FIFO {wanted.priority} is not allowed (limit {limit})"
    fix = "run as the service (`cardan install-service`), or raise rtprio in /etc/security/limits.d"
    if wanted.scheduler == "fifo":
        return failed(text, fix)
    return passed(f"{text}; the profile does without")


def _throttle(runtime_us: str) -> str:
    return "" if runtime_us in ("", "-1") else f"; the kernel keeps {runtime_us} us of each second for it"


def memory_lock(subject: Subject) -> Result:
    """Memory may be locked if the profile wants that."""
    if not subject.profile.realtime.memory_lock:
        return passed("the profile wants none")
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    if os.geteuid() == 0 or limit == resource.RLIM_INFINITY:
        return passed("memory may be locked")
    return failed(
        f"only {limit // 1024} KiB may be locked",
        "raise memlock to unlimited in /etc/security/limits.d, or use the service",
    )


def shared_memory(subject: Subject) -> Result:
    """Shared memory has room for the topics and the frames."""
    topics = len(subject.plan.topics()) if subject.plan is not None else 0
    ring_bytes = subject.plan.ring_bytes if subject.plan is not None else 1 << 20
    needed = topics * file_bytes(ring_bytes) + FRAME_ROOM
    try:
        status = os.statvfs(subject.path(SHARED))
    except OSError as error:
        return failed(f"{SHARED}: {error.strerror}", "mount a tmpfs there: messages and frames live in it")
    free = status.f_bavail * status.f_frsize
    text = f"{free >> 20} MiB free in {SHARED}, {needed >> 20} MiB needed"
    if free < needed:
        return failed(text, f"mount -o remount,size=512M {SHARED}; what fills it? `ls -l {SHARED}`")
    return passed(text)


def compiled_parts(subject: Subject) -> Result:
    """The inner parts of the bus are compiled, where this processor cannot do without."""
    if native.compiled is not None:
        return passed("the inner parts of the bus are compiled")
    text = "the inner parts of the bus are not compiled: a message takes twice the processor time"
    if platform.machine() in KEEPS_ORDER:
        return passed(text)
    return failed(
        f"{text}, and this processor orders stores freely: a frame that is being filled could pass for whole",
        "install a C compiler and Python's headers (apt install gcc python3-dev), then cardan again",
    )


def kernel(subject: Subject) -> Result:
    """The kernel is new enough."""
    release = small_text(subject.path("/proc/sys/kernel/osrelease")) or os.uname().release
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdecimal())
    realtime = small_text(subject.path("/sys/kernel/realtime")) == "1"
    text = f"Linux {release}" + (", PREEMPT_RT" if realtime else "")
    if numbers and numbers < OLDEST_KERNEL:
        return failed(f"{text} is older than {'.'.join(map(str, OLDEST_KERNEL))}", "install a newer kernel")
    return passed(text)


def memory(subject: Subject) -> Result:
    """There is memory left."""
    said = small_text(subject.path("/proc/meminfo"))
    fields = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    try:
        available_kib, total_kib = (int(fields[name].split()[0]) for name in ("MemAvailable", "MemTotal"))
    except (KeyError, ValueError, IndexError):
        return unknown("the kernel does not say how much memory is left")
    text = f"{available_kib >> 10} of {total_kib >> 10} MiB available"
    return passed(text) if available_kib >= 256 << 10 else failed(text, "what takes it? `ps aux --sort=-rss | head`")


def descriptors(subject: Subject) -> Result:
    """Enough files may be open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    text = f"{limit} open files allowed"
    return passed(text) if limit >= DESCRIPTORS else failed(text, f"ulimit -n {DESCRIPTORS}")


def thermal(subject: Subject) -> Result:
    """No zone is near its critical temperature, and the processor was not throttled."""
    zones = sorted(subject.path("/sys/class/thermal").glob("thermal_zone*"))
    readings = [reading for zone in zones if (reading := _reading(zone)) is not None]
    throttled = sum(
        int(text)
        for path in subject.path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count")
        if (text := small_text(path)).isdecimal()
    )
    hot = [f"{name} {temp_c:.0f} C of {limit_c:.0f}" for name, temp_c, limit_c in readings if temp_c > limit_c - HOT_C]
    if hot or throttled:
        text = ", ".join([*hot, *([f"the processor was throttled {throttled} times"] if throttled else [])])
        return failed(text, "is the fan running, and the air way free? the rate of what runs hottest can be lowered")
    if not readings:
        return unknown("this computer has no temperature that can be read")
    name, temp_c, _ = max(readings, key=lambda reading: reading[1])
    return passed(f"warmest: {name} {temp_c:.0f} C")


def _reading(zone: Path) -> tuple[str, float, float] | None:
    """Name, temperature and critical temperature of a zone, in degrees Celsius."""
    raw = small_text(zone / "temp")
    if not raw.lstrip("-").isdecimal():
        return None
    kinds = [path for path in zone.glob("trip_point_*_type") if small_text(path) == "critical"]
    trips = [path.with_name(path.name.replace("_type", "_temp")) for path in kinds]
    limits = [int(text) / 1000 for trip in trips if (text := small_text(trip)).isdecimal()]
    return small_text(zone / "type") or zone.name, int(raw) / 1000, min(limits, default=105.0)


def throttle(subject: Subject) -> Result:
    """Nothing holds the processor back at this moment: no cap on its clock, no cooling, no over-current."""
    tree = Tree(subject.root)
    held = [
        *(f"cpu{number} is capped at {share:.0%} of its clock" for number, share in _caps(tree)),
        *(f"{name} cools by step {step}" for name, step in _cooling(tree)),
        *(f"{name} counted {count} over-current events" for name, count in _over_currents(tree)),
    ]
    if held:
        fix = "is it hot, or its power supply weak? on a Jetson `nvpmodel -q` says which mode holds"
        return failed(", ".join(held[:4]) + (f" and {len(held) - 4} more" if len(held) > 4 else ""), fix)
    if not tree.has("/sys/devices/system/cpu/cpu0/cpufreq"):
        return unknown("this computer does not say how fast its processors may run")
    return passed("nothing holds the processors back")


def _caps(tree: Tree) -> Iterator[tuple[int, float]]:
    for number in online(tree):
        folder = f"/sys/devices/system/cpu/cpu{number}/cpufreq"
        allowed, possible = tree.number(f"{folder}/scaling_max_freq"), tree.number(f"{folder}/cpuinfo_max_freq")
        if allowed and possible and allowed < possible:
            yield number, allowed / possible


def _cooling(tree: Tree) -> Iterator[tuple[str, int]]:
    """Cooling that costs speed; a fan that turns costs none."""
    for name in tree.names("/sys/class/thermal"):
        kind, step = tree.text(f"/sys/class/thermal/{name}/type"), tree.number(f"/sys/class/thermal/{name}/cur_state")
        if name.startswith("cooling_device") and step and "fan" not in kind.lower():
            yield kind or name, step


def _over_currents(tree: Tree) -> Iterator[tuple[str, int]]:
    """A Jetson slows down when its supply is overloaded, and counts that (oc1_event_cnt and so on)."""
    for monitor in tree.names("/sys/class/hwmon"):
        for name in tree.names(f"/sys/class/hwmon/{monitor}"):
            count = tree.number(f"/sys/class/hwmon/{monitor}/{name}") if name.endswith("_event_cnt") else None
            if count:
                yield name.removesuffix("_event_cnt"), count


CHECKS = (
    Check("machine.cores", "are the processors of the profile online?", cores),
    Check("machine.scheduler", "may nodes run in real time?", scheduler),
    Check("machine.memory-lock", "may memory be locked?", memory_lock),
    Check("machine.shared-memory", "is there room for topics and frames?", shared_memory),
    Check("machine.compiled", "are the inner parts of the bus compiled?", compiled_parts),
    Check("machine.kernel", "is the kernel new enough?", kernel),
    Check("machine.memory", "is there memory left?", memory),
    Check("machine.descriptors", "may enough files be open?", descriptors),
    Check("machine.thermal", "is it too hot?", thermal),
    Check("machine.throttle", "does something hold the processors back?", throttle),
)
