"""What the command line may say about who drives."""

from __future__ import annotations

from collections.abc import Callable

from cardan.runtime.cli.parser import Parser, add_data_dir, add_json, add_place
from cardan.runtime.cli.shapes import Shape


def _add_look(parser: Parser) -> None:
    add_place(parser)
    add_json(parser, "one JSON document")


def _add_act(parser: Parser) -> None:
    add_data_dir(parser)
    add_json(parser, "one JSON document")


def _add_action(parser: Parser) -> None:
    _add_act(parser)
    parser.add_argument("--yes", action="store_true", help="do it; without this, only look")


LOOKS = ("state", "why", "history", "limits")
ADD: dict[str, Callable[[Parser], None]] = {
    **dict.fromkeys(LOOKS, _add_look),
    "disarm": _add_act,
    "arm": _add_action,
    "reset": _add_action,
}
MODULES = {
    **{verb: f"cardan.runtime.cli.control_{verb}" for verb in LOOKS},
    **dict.fromkeys(("arm", "disarm", "reset"), "cardan.runtime.cli.control_ask"),
}
JSON = {
    "state": Shape("live, run, engagement, cause, accepted, reason, steering_rad, accel_mps2"),
    "why": Shape("live, run, cause, meaning, hint, changes (wall_ns, before, after, cause)"),
    "history": Shape("live, run, changes (wall_ns, before, after, cause)"),
    "limits": Shape("live, run, hash, envelope"),
    **dict.fromkeys(("arm", "disarm", "reset"), Shape("done, engagement, cause, checks (name, passed, text, hint)")),
}
DESCRIPTIONS = {
    "state": """\
Who drives, why, and what happened to the newest command: live from the bridge, else as the last run ended.

Exit code 1 while soft-disabling, in a safe stop, or with a latched fault.""",
    "why": """\
Why control ended, was interrupted, or could not begin the last time: the first cause, what it means, and each change
that followed. Read from the event log, else from the recording.""",
    "history": """\
Every change of engagement of a run with its one cause. Read from the event log, else from the recording.""",
    "arm": """\
Run every arming check of the bridge and show each, with what to do about those that have not passed.

With --yes it also engages, as the vehicle's own engage signal does: when every check passes within `pre_enable_s`,
control drives from then on. Exit code 4 when the bridge is not ready, or does not engage.""",
    "disarm": """\
End the engagement in this period, as the driver's cancel button does.""",
    "reset": """\
Clear a latched fault, so that the bridge may be armed again. Only with --yes: find the cause first (`cardan control
why`). A latched fault outlives the bridge and the run; nothing else clears it.""",
    "limits": """\
The envelope as the manifest declares it, and the hash that control and bridge compare before anything is sent.""",
}
