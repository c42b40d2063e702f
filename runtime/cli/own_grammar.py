"""The grammar of the commands of one word."""

from __future__ import annotations

from collections.abc import Callable

from cardan.runtime.cli.parser import Parser, add_bundle, add_data_dir, add_json, add_place
from cardan.runtime.cli.shapes import Shape


def _add_manifest(parser: Parser) -> None:
    parser.add_argument("manifest", nargs="?", metavar="MANIFEST|DIR", help="default: the reference vehicle")
    parser.add_argument("--profile", metavar="NAME|FILE", help="hardware profile (default: the one the manifest names)")


def _add_up(parser: Parser) -> None:
    _add_manifest(parser)
    parser.add_argument("--for", dest="duration", metavar="TIME", help="end after 500ms, 30s, 2m, 1.5h")
    add_data_dir(parser)
    parser.add_argument("--service", action="store_true", help="be the main process of a systemd service")
    add_json(parser, "the summary as one JSON document")


def _add_new(parser: Parser) -> None:
    parser.add_argument("folder", metavar="DIR", help="a folder that is empty or not there yet")
    parser.add_argument("--name", metavar="NAME", help="of the vehicle (default: that of the folder)")


def _add_check(parser: Parser) -> None:
    _add_manifest(parser)
    add_json(parser, "the findings, or the graph, as one JSON document")


def _add_status(parser: Parser) -> None:
    add_place(parser)
    add_json(parser, "one JSON document")


def _add_top(parser: Parser) -> None:
    add_data_dir(parser)
    parser.add_argument("--every", metavar="TIME", default="1s", help="draw again after so long (default: 1s)")
    parser.add_argument(
        "--for", dest="duration", metavar="TIME", help="end after 500ms, 30s, 2m (default: q or Ctrl-C)"
    )
    parser.add_argument("--count", metavar="N", help="end after N pictures (default: 1 where stdout is no terminal)")


def _add_watch(parser: Parser) -> None:
    add_place(parser)
    parser.add_argument("--port", metavar="N", default="7440", help="port; 0 takes any that is free (default: 7440)")
    parser.add_argument("--open", action="store_true", help="open it in this computer's browser")
    parser.add_argument("--for", dest="duration", metavar="TIME", help="end after 500ms, 30s, 2m (default: Ctrl-C)")
    parser.add_argument("--bind", metavar="ADDRESS", default="127.0.0.1", help="address (default: 127.0.0.1)")
    parser.add_argument("--token-file", metavar="FILE", help="file with the token that browsers must know")
    parser.add_argument("--certificate", metavar="FILE", help="TLS certificate and its chain, PEM")
    parser.add_argument("--key", metavar="FILE", help="its private key, PEM")
    parser.add_argument("--name", action="append", metavar="HOST", help="a name under which browsers may ask")


def _add_foxglove(parser: Parser) -> None:
    add_data_dir(parser)
    parser.add_argument("topics", nargs="*", metavar="PATTERN", help="topics that are shown as JSON (default: all)")
    parser.add_argument("--port", metavar="N", default="8765", help="port; 0 takes any that is free (default: 8765)")
    parser.add_argument("--for", dest="duration", metavar="TIME", help="end after 500ms, 30s, 2m (default: Ctrl-C)")
    parser.add_argument("--layout", action="store_true", help="print the layout that shows a drive, and end")


def _add_install_service(parser: Parser) -> None:
    parser.add_argument("--manifest", metavar="FILE|DIR", help="what to run (default: the reference vehicle)")
    parser.add_argument("--profile", metavar="NAME|FILE", help="hardware profile (default: the one the manifest names)")
    parser.add_argument("--user", metavar="NAME", default="cardan", help="user of the service (default: cardan)")
    parser.add_argument("--root", metavar="DIR", default="/", help="write below DIR, such as an image (default: /)")
    parser.add_argument("--print", action="store_true", help="print the files and write nothing")


def _add_trace(parser: Parser) -> None:
    parser.add_argument("--for", dest="duration", metavar="TIME", help="watch for 500ms, 30s, 2m from now on")
    parser.add_argument("--last", metavar="TIME", help="look back 500ms, 2s (default: 5s)")
    parser.add_argument("--out", metavar="FILE", help="write the trace as JSON for ui.perfetto.dev")
    add_place(parser)
    add_json(parser, "one JSON document")


def _add_doctor(parser: Parser) -> None:
    parser.add_argument("checks", nargs="*", metavar="CHECK", help="a check or an area, such as machine (default: all)")
    parser.add_argument("--manifest", metavar="MANIFEST|DIR", help="default: the reference vehicle")
    parser.add_argument("--profile", metavar="NAME|FILE", help="hardware profile (default: the one the manifest names)")
    parser.add_argument("--engage", action="store_true", help="of a running vehicle: why it is not armed")
    add_data_dir(parser)
    add_bundle(parser)
    add_json(parser, "one JSON document")


def _add_replay(parser: Parser) -> None:
    parser.add_argument("recording", metavar="FILE", help="an .mcap file of a run; its further parts are found")
    parser.add_argument("--node", action="append", metavar="NAME", help="node to replay; may be given several times")
    parser.add_argument("--rate", default="0", metavar="X", help="1: in real time; 0: as fast as possible (default)")
    parser.add_argument("--out", metavar="FILE", help="write what the nodes say now to a recording of its own")
    add_json(parser, "one JSON document")


def _add_completion(parser: Parser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), metavar="bash|zsh|fish")


def _add_man(parser: Parser) -> None:
    """It takes nothing."""


def _add_version(parser: Parser) -> None:
    add_json(parser, "one JSON document")


def _add_log(parser: Parser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until Ctrl-C")
    parser.add_argument(
        "--node", action="append", metavar="NAME", help="only this node, or `supervisor`; may be given again"
    )
    parser.add_argument(
        "--level", metavar="LEVEL", default="info", help="this and above: debug, info (default), warning, error"
    )
    parser.add_argument(
        "--code", action="append", metavar="CODE", help="only this code (docs/faults.md); may be given again"
    )
    parser.add_argument("--since", metavar="TIME", help="all runs since that time (form as of --at)")
    parser.add_argument("--count", metavar="N", help="the last N records; with -f end after N")
    parser.add_argument("--for", dest="duration", metavar="TIME", help="with -f: end after 500ms, 30s, 2m")
    add_place(parser)
    add_json(parser, "JSON Lines, one object a record")


ADD: dict[str, Callable[[Parser], None]] = {
    "new": _add_new,
    "log": _add_log,
    "up": _add_up,
    "check": _add_check,
    "status": _add_status,
    "trace": _add_trace,
    "replay": _add_replay,
    "top": _add_top,
    "watch": _add_watch,
    "foxglove": _add_foxglove,
    "doctor": _add_doctor,
    "install-service": _add_install_service,
    "completion": _add_completion,
    "man": _add_man,
    "version": _add_version,
}

MODULES = {
    "up": "cardan.runtime.cli.up",
    "new": "cardan.runtime.cli.new",
    "check": "cardan.runtime.cli.check",
    "status": "cardan.runtime.cli.status",
    "trace": "cardan.runtime.cli.trace",
    "replay": "cardan.runtime.cli.replay",
    "top": "cardan.runtime.cli.top",
    "watch": "cardan.runtime.cli.watch_page",
    "foxglove": "cardan.runtime.cli.foxglove",
    "doctor": "cardan.runtime.cli.doctor",
    "log": "cardan.runtime.cli.log",
    "install-service": "cardan.runtime.cli.install_service",
    "completion": "cardan.runtime.cli.completion",
    "man": "cardan.runtime.cli.man",
    "version": "cardan.runtime.cli.version",
}
"""Each module has `run(arguments) -> int` and is imported only for its command."""
JSON = {
    "up": Shape(
        "verdict, duration_s, armed_after_s, nodes (starts, steps, overruns, missed, jitter_ms),"
        " photon_to_can_ms, published, lost, safe_stops, lane_error_m, recording, synced, frames_carried, "
        "checksum_failures"
    ),
    "check": Shape("verdict, manifest, findings (file, line, path, what, remedy), plan"),
    "status": Shape(
        "verdict, live, run, vehicle, profile, state, started, node_states, mode, mode_text, cause_code, "
        "cause_after_s, cure, conditions, settings, groups, taken, timing, summary (verdict, duration_s, nodes, ...)"
    ),
    "doctor": Shape("verdict, checks (name, about, verdict, text, fix)"),
    "log": Shape("t_ns, wall_s, level, code, node, text, ...", lines=True),
    "trace": Shape("live, run, duration_s, steps, messages, unheard, missed, ways (topics, hops, frames, ...), out"),
    "replay": Shape(
        "same, by_steps, vehicle, duration_s, fed, unreadable, trouble, outputs (topic, recorded, replayed, equal, ...)"
    ),
    "version": Shape("cardan, python, numpy, pyzmq, msgspec, msgpack"),
}

DESCRIPTIONS = {
    "new": """\
Write a vehicle of your own into a folder: a manifest, two nodes that are wired, and a test of them.

examples:
  cardan new shuttle && cardan up shuttle --for 10s""",
    "up": """\
Run a vehicle and show what it does; end with a summary on stdout.

Without a manifest the reference vehicle drives in simulation. Ctrl-C ends the run in order, a second one at once.
Its verdict is `ok`, or the first cause; null stands where the manifest has no such thing.

examples:
  cardan up --for 30s
  cardan up examples/rav4_minute --json > summary.json""",
    "check": """\
Check a manifest against a hardware profile: print every finding as `file:line: path: what`, or the graph.""",
    "status": """\
The verdict and one screen of the run that is active, else of the last one.

Reads shared memory only: works while the run hangs, and after it has ended.""",
    "top": """\
The verdict, buses, engines, links, nodes and topics of the active run, drawn again every second; q or Ctrl-C ends it.
Troubled nodes come first when there is no room for all.

Reads shared memory only: works while nodes hang. Where stdout is no terminal, one picture is printed.""",
    "watch": """\
Serve a page that shows the run: verdict, camera with what the network saw, graph of nodes with rates and latencies, who
drove and why not, CAN. The address is the first line on stdout. Nothing can be changed from the page.

Everything is read from shared memory, from outside: it works while nodes hang, and shows the last run when none is
active. Other computers can look only with all of --bind, --token-file, --certificate and --key; or use
`ssh -L 7440:127.0.0.1:7440 VEHICLE`.

examples:
  cardan watch --open
  cardan watch --bind 0.0.0.0 --token-file token --certificate car.pem --key car.key""",
    "foxglove": """\
Serve the active run to Foxglove, live, until Ctrl-C or the end of the run: pictures with what the network saw, a scene
in the vehicle frame, the event log, and every small topic as JSON. The address is the first line on stdout. Only this
computer can connect (`ssh -L 8765:127.0.0.1:8765 VEHICLE`); nothing can be sent into the run. Read from outside: the
nodes do not notice. What nobody has subscribed to costs nothing.

examples:
  cardan foxglove
  cardan foxglove --layout > drive.json          # import it in Foxglove
  cardan foxglove control/command 'engines/*'""",
    "trace": """\
Follow each frame from its capture to the CAN frame it led to: how long every hop takes, over the whole run and frame by
frame. With --out also a trace of all steps, messages, restarts and modes for ui.perfetto.dev and chrome://tracing.

Read from shared memory: the nodes do not notice, and it works while they hang and after the run has ended. Kept are the
last 511 steps of each node and the last messages of each topic that goes through a ring (seconds); --for sees more.

examples:
  cardan trace
  cardan trace --for 10s --out drive.json
  cardan trace --last 2s --out end.json""",
    "doctor": """\
Run every check of this computer against its profile, of the manifest, and of how the last run ended.

Each check has a time limit and ends with pass, fail or ? (it could not be found out here); what fails says what helps.
Checks of other packages are found by the entry point group `cardan.checks`. With --engage everything is as with
`cardan control arm`, its document too.

examples:
  cardan doctor
  cardan doctor machine storage --json
  cardan doctor --engage""",
    "log": """\
The event log of a run: what the supervisor saw and did, and what each node said, in the order of time. Every record has
a code; docs/faults.md says what it means and what helps. --at shows the five seconds before and after.

Logs outlive their run, and are read while it hangs. Exit code 1 when an error is among what is shown.
The JSON object: t_ns (monotonic), wall_s, level, code, node (empty: the run), text, and the fields of the code.

examples:
  cardan log --level warning
  cardan log --at 14:32 --node bridge
  cardan log -f --node control --for 30s""",
    "replay": """\
Feed the recorded inputs of a node to its present code, on the clock of the recording, and compare what it says, field
by field.

Each step gets what it had then, and its clock says what it said then: a live recording comes out bit for bit, as long
as it begins with the run and holds all that the node reads (docs/recording.md). Without notes of its steps a node is
stepped when its messages were sent, and numbers differ a little. The first and the largest difference are shown.

examples:
  cardan replay ~/.local/share/cardan/recordings/20261121-081500-4eb9.mcap --node control
  cardan replay RUN.mcap --node control --out new.mcap --json""",
    "completion": """\
Print a script that makes a shell complete commands, options and their values. It is made from the grammar of this
release, and starts nothing while you type.

examples:
  . <(cardan completion bash)
  cardan completion zsh > ~/.zfunc/_cardan        # a folder of $fpath
  cardan completion fish > ~/.config/fish/completions/cardan.fish""",
    "man": """\
Print the manual page, made from the same grammar as `--help`.

examples:
  cardan man | man -l -""",
    "install-service": """\
Write the files with which systemd runs a vehicle from boot on: unit, user, folders, device rules.

Nothing is started; the next commands are printed. Running it again changes only what differs. Your own settings belong
into a drop-in (`systemctl edit cardan`), which is left alone.

examples:
  sudo cardan install-service --manifest /etc/cardan/vehicle.toml
  cardan install-service --manifest /etc/cardan/vehicle.toml --root ./image
  cardan install-service --print""",
}
