"""The grammar of `cardan why`."""

from __future__ import annotations

from collections.abc import Callable

from cardan.runtime.cli.parser import Parser, add_json, add_place
from cardan.runtime.cli.shapes import Shape


def _add(parser: Parser) -> None:
    add_place(parser)
    add_json(parser, "one JSON document")


def _add_node(parser: Parser) -> None:
    parser.add_argument("subject", nargs="?", metavar="NODE", help="only this node")
    _add(parser)


def _add_topic(parser: Parser) -> None:
    parser.add_argument("subject", nargs="?", metavar="TOPIC|NODE", help="`node/output` (default: the first camera)")
    _add(parser)


VERBS = ("disengage", "restart", "late", "dropped", "upload", "boot", "slow", "changed", "software")
ADD: dict[str, Callable[[Parser], None]] = {
    **dict.fromkeys(VERBS, _add),
    "restart": _add_node,
    "late": _add_node,
    "dropped": _add_topic,
}
MODULES = dict.fromkeys(VERBS, "cardan.runtime.cli.why")
_TAIL = """

Only what was recorded is told: what was not is listed as `not recorded`. Works on a run that hangs or has ended, on an
earlier one (--at), and on a bundle (--bundle). Exit code 1 when something was wrong."""
DESCRIPTIONS = {
    "disengage": f"""\
Why control ended, was interrupted, or could not begin: the change that the bridge recorded, the first fault of what it
depends on, the chain of what followed, and the log and the signals of the five seconds around. Without --at the last
time.{_TAIL}

examples:
  cardan why disengage --at 14:32
  cardan why disengage --bundle K7M4QP.cardan.zip""",
    "restart": f"""\
Why a node was started again: how its process ended, what it said before, when it was back. When no node was: how the
run before this one ended.{_TAIL}""",
    "late": f"""\
Which node is late and why: steps that take too long, wake-ups that come too late, messages that come too old; with the
settings that it should have, the load of the computer, and who takes it. Over the whole run, or around --at.{_TAIL}""",
    "dropped": f"""\
Whether messages of a topic, such as a camera's frames, are lost, and where: at the sensor and its driver, on the way,
or at a reader.{_TAIL}

examples:
  cardan why dropped camera
  cardan why dropped engines/road""",
    "upload": f"""\
Why data has not been uploaded: no consent, the link, or the disk; with the account of the outbox.{_TAIL}""",
    "boot": f"""\
How long it took until everything ran, stage by stage, and which node was the last.{_TAIL}""",
    "slow": f"""\
Whether the computer is, or was, hot, throttled, short of memory or starved, and when.{_TAIL}""",
    "software": f"""\
Whether the right software is everywhere: what the run has against what is installed now, the manifest on disk, the
networks that serve, and what cardan needs of its packages.{_TAIL}""",
    "changed": f"""\
What changed since it last worked: versions, code, manifest, profile, settings and networks of this run against the
newest earlier one that ended with the verdict ok (and drove).{_TAIL}""",
}
_FACT = "wall_ns, after_s, who, code, text, level"
JSON = dict.fromkeys(
    VERBS,
    Shape(
        f"question, run, live, verdict, healthy, moment_ns, cause, means, hint, chain ({_FACT}), facts, missing, "
        f"around ({_FACT}), signals (after_s, engagement, reason, speed_mps, steering_rad, accel_mps2)"
    ),
)
