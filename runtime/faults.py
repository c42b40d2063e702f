"""Every fault that cardan reports has a code, and one row here: what it means, what it usually comes from, what helps.

The supervisor's events, the nodes' `report_fault` and docs/faults.md use these codes. Nodes of others may use codes
of their own.
"""

from __future__ import annotations

from typing import NamedTuple

from cardan.runtime.log.codes import EVENTS


class Fault(NamedTuple):
    """One row of the table."""

    code: str
    meaning: str
    cause: str
    """The likely one."""
    cure: str


RUN = (
    Fault(
        "run-cause",
        "the run is not as it should be; the text names the first cause",
        "a node that does not come back",
        "look the code of the node's own fault up in this table",
    ),
    Fault(
        "run-mode",
        "the vehicle goes on with less than it has",
        "a node is away; the manifest's [reactions] says what that means",
        "bring the node back: `cardan status` names it",
    ),
    Fault(
        "run-threads",
        "the supervisor has more than one thread before it forks",
        "a library started threads when it was imported",
        'set OMP_NUM_THREADS=1, or give the node that needs the library process = "exec"',
    ),
    Fault(
        "run-guardian-lost",
        "the process that watches the supervisor is dead; the run was stopped in order",
        "somebody killed it, or memory was short",
        "`dmesg`; start again",
    ),
    Fault(
        "supervisor-lost",
        "the supervisor hung, or ended without stopping the run; all nodes were ended; the vehicle's units took over",
        "memory was short, somebody killed it, or a defect of ours",
        "`dmesg`, and supervisor.err beside the logs",
    ),
    Fault(
        "wakeup-latency-missing",
        "processors may sleep deeper than the profile wants, and real-time nodes may wake up late",
        "the service may not open /dev/cpu_dma_latency",
        "install the udev rule of the service (`cardan install-service`), or take wakeup_latency_us out of the profile",
    ),
    Fault(
        "watchdog-missing",
        "the hardware watchdog of the profile cannot be used",
        "another program holds it, or the service may not open it",
        "`fuser -v /dev/watchdog*`; see DeviceAllow= of the unit",
    ),
)
NODE = (
    Fault(
        "node-start-failed",
        "the kernel gave no process for a node",
        "limits of processes or memory",
        "`ulimit -u`, TasksMax= and MemoryMax= of the unit",
    ),
    Fault(
        "node-late",
        "a node was not ready within start_timeout_s, and was killed",
        "its device does not answer, or its model is large",
        "see the log of the node; raise start_timeout_s if it needs the time",
    ),
    Fault(
        "node-out-of-memory",
        "the kernel ended a node because it took more memory than memory_max_mib",
        "it takes more than was thought, or more and more of it",
        "`cardan status` shows the most that it ever took; raise memory_max_mib, or find the leak",
    ),
    Fault(
        "node-hung",
        "a node did not end a step within its limit, and was killed",
        "a blocking call or an endless loop in `step`, or a starved computer",
        "see the log of the node for its last words; `cardan check` for the load of its cores",
    ),
    Fault(
        "node-crash",
        "the process of a node ended badly",
        "an exception, a signal, or memory that was short",
        "see the end of its log for the traceback of an exception; for a signal `dmesg` may know who sent it",
    ),
    Fault(
        "node-gave-up",
        "a node failed too often, and is not started again in this run",
        "what made it fail is still there",
        "see its own fault, then its log; start the run again when the cause is gone",
    ),
    Fault(
        "node-closing-late",
        "a node did not close within stop_timeout_s after its last step, and was killed",
        "a device that does not answer, or a slow disk",
        "see the log of the node; raise stop_timeout_s if it needs the time",
    ),
    Fault(
        "node-kill",
        "a node did not stop within stop_timeout_s, and was killed",
        "a step that takes long, or a blocking call",
        "see the log of the node",
    ),
    Fault(
        "node-unkillable",
        "a process is still there after SIGKILL",
        "it waits inside a device driver",
        "`cat /proc/PID/stack`; the computer may need a restart",
    ),
    Fault(
        "node-error",
        "a node ended with an error that it explains",
        "its settings, its device, or what it was sent",
        "do what the hint in its text says",
    ),
    Fault(
        "crash",
        "a node ended with an exception that nobody expected",
        "a defect of the node",
        "see the log of the node: it ends with the traceback",
    ),
    Fault(
        "setting",
        "a real-time node does not have what its profile demands: scheduler, cores or locked memory",
        "the service lacks a privilege",
        "`cardan status` says which; LimitRTPRIO=, LimitMEMLOCK=, CPUAffinity= of the unit",
    ),
)
BRIDGE = (
    Fault(
        "safe-stop",
        "the bridge brought the vehicle to a stop; the text names what was missing",
        "control or the vehicle's bus was away for longer than the bridge waits",
        "look at the node or message that the text names",
    ),
    Fault(
        "fault-latched",
        "the bridge is silent until a person resets it",
        "somebody else sends actuator frames, a frame failed its last check, or the bus takes none",
        "find the cause first; then start the run again",
    ),
    Fault(
        "can-send",
        "actuator frames could not be handed to the CAN channel",
        "cable, termination, bit rate, or a bus in the state bus-off",
        "`cardan can health` says what to do",
    ),
)
CAN = (
    Fault(
        "can-silent",
        "no frame on a CAN channel for longer than its limit",
        "the vehicle sleeps, a plug is out, or the bit rate is another",
        "`cardan can health`; `cardan can sniff` shows what there is",
    ),
    Fault(
        "can-controller",
        "the CAN controller reports bus-off, error-passive, a transmit time-out or a broken wire",
        "cable, termination, or a node with another bit rate",
        "`cardan can health` says what to do",
    ),
    Fault(
        "can-dropped",
        "CAN frames were lost before they were read",
        "the computer is overloaded",
        "`cardan status`; give the receiver a core of its own",
    ),
    Fault(
        "can-gone",
        "a CAN channel has disappeared; opening it is tried every second",
        "the adapter was unplugged, or its interface is down",
        "`ip link set can0 up`; look at the plug",
    ),
    Fault(
        "replay-failed",
        "a recorded frame could not be sent",
        "the bench bus is gone",
        "start the run again",
    ),
)
ENGINES = (
    Fault(
        "accelerator-hung",
        "a run of a network did not end in time; the engine host ended itself, and its successor took over",
        "a hung driver or a stuck accelerator; on a CPU, a limit (`hang_ms`) that is too low",
        "see the log of the host; `dmesg` for messages of the driver",
    ),
    Fault(
        "accelerator-lost",
        "the accelerator is lost to the process; the engine host ended itself, and its successor took over",
        "a fault on the accelerator, which no process survives",
        "see the log of the host; `dmesg` for messages of the driver",
    ),
    Fault(
        "engine-not-served",
        "an engine has no network that can be loaded; it gives no results, the others of its host do",
        "a file that is not there or was replaced, a missing library, or no plan for this accelerator",
        "do what the text says; `cardan engine verify`",
    ),
    Fault(
        "engine-fallback",
        "another network or backend stands in; the results say `fallback`",
        "the first choice could not be loaded, or gave bad numbers several times in a row",
        "see the log of the host; `cardan engine build` when a plan is missing",
    ),
    Fault(
        "engine-invalid",
        "an engine gave bad numbers several times in a row, and nothing is left to stand in",
        "a covered or broken sensor, or a damaged network",
        "look at the frames of its input; `cardan engine verify`",
    ),
    Fault(
        "engine-rolled-back",
        "a new network gave bad numbers several times in a row; the one before it serves again",
        "a network that does not fit the sensors of this vehicle",
        "see the log of the host",
    ),
)
LINK = (
    Fault(
        "link-lost",
        "another computer does not answer; its topics are stale here, and every reader sees that",
        "it is off, starting, or its run has ended; a cable, a switch, a firewall",
        "`cardan topic echo NODE/link` says why; `cardan status` on that computer; `nc -vz ADDRESS PORT`",
    ),
    Fault(
        "link-refused",
        "another computer answers and does not let us in",
        "one of both does not know the other's key",
        "`cardan keys list` on both; `cardan keys trust NAME KEY` there, server_key here",
    ),
    Fault(
        "link-no-topic",
        "another computer does not show a topic that is read from it",
        "a name has changed, or its gateway shows fewer topics",
        "the log of the node lists near names; `topics` of the gateway there",
    ),
    Fault(
        "link-other-type",
        "another computer sends another message type than is declared here; such messages are dropped",
        "the two computers run different releases",
        "update both; the log of the node names both types",
    ),
)
KEEPING = (
    Fault(
        "recorder-undecodable",
        "the recorder could not read a message",
        "publisher and recorder run different code",
        "`cardan check`, and start the run again",
    ),
    Fault(
        "recorder-no-json",
        "a message has no JSON form; its topic is not recorded",
        "a message type that holds something unusual",
        "use numbers, text, lists, maps and arrays in messages",
    ),
    Fault(
        "recorder-disk",
        "the recorder cannot write; driving goes on",
        "the disk is full or gone",
        "`df`; lower [storage] quota_bytes of the profile",
    ),
    Fault(
        "recorder-slow",
        "the recorder drops messages, since too much waits for the disk; driving goes on",
        "the disk is slow, or stands still",
        "`cardan doctor` measures it; keep less: keep and rate_hz of `config.topics`, frames as jpeg",
    ),
    Fault(
        "recorder-video",
        "the encoder of pictures is away; they are kept as JPEG, raw, or not at all, as their topic's `fallback` says",
        "its program is missing, has died, or hangs",
        "`cardan doctor vehicle.video`; [video] of the profile",
    ),
    Fault(
        "recording-repair",
        "a recording that was cut off could not be repaired",
        "the file is damaged",
        "keep the file: its messages up to the damage can be read",
    ),
    Fault(
        "outbox-undecodable",
        "the outbox could not read a message",
        "publisher and outbox run different code",
        "`cardan check`, and start the run again",
    ),
    Fault(
        "outbox-refused",
        "a message is too large for telemetry",
        "pictures or point clouds among the outbox's inputs",
        "take that topic out of the outbox's inputs; the recorder has it",
    ),
    Fault(
        "outbox-disk",
        "the outbox cannot write; telemetry waits in memory, and then is lost",
        "the disk is full or gone",
        "`df`; make room in the data folder",
    ),
    Fault(
        "uplink-disk",
        "the uplink cannot write down what it does",
        "the disk is full or gone",
        "`df`; make room in the data folder",
    ),
    Fault(
        "uplink-form",
        "records cannot be written in the form that was asked for, and went to the store as JSON lines",
        "a value that a table has no column for",
        "nothing is lost; look at the topic that is named, or choose another `form` of the uplink",
    ),
)
MACHINE = (
    Fault(
        "machine-hot",
        "the computer is near its critical temperature",
        "a fan that stands still, a covered air way, a hot day",
        "look at the fan and the air way; lower the rate of what runs hottest",
    ),
    Fault(
        "machine-throttled",
        "the processor was slowed down because it was hot",
        "as machine-hot",
        "as machine-hot",
    ),
    Fault(
        "machine-memory-short",
        "little memory is left",
        "a node that takes more and more, or something else that runs on this computer",
        "`cardan status` shows what nodes have taken; `ps aux --sort=-rss`",
    ),
    Fault(
        "machine-out-of-memory",
        "the kernel ended a process because memory was short",
        "as machine-memory-short",
        "`dmesg` names the process",
    ),
    Fault(
        "machine-disk-full",
        "little room is left where data is kept",
        "recordings of others, or a quota that is larger than the disk",
        "`df`; lower [storage] quota_bytes of the profile",
    ),
)
OUTSIDE = (
    Fault(
        "live-refused",
        "the broker does not let us in, or is not the one that it says",
        "a certificate, its authority, its dates, or the clock of this computer",
        "the log of the node says which; `openssl x509 -in FILE -noout -dates -issuer`, `date`",
    ),
    Fault(
        "live-unreachable",
        "there has been no connection to the broker for a while; its events wait in the outbox",
        "no network, or another address",
        "`cardan status`; is the address right, and does its name resolve?",
    ),
    Fault(
        "live-not-authorized",
        "the broker takes nothing for a topic from us; the log of the node names it; its events wait in the outbox",
        "the rules of the broker do not know this vehicle",
        "let this certificate publish below its prefix",
    ),
    Fault(
        "live-not-listening",
        "the broker does not let us listen to what is asked of this vehicle",
        "the rules of the broker do not know this vehicle",
        "let this certificate subscribe below its prefix",
    ),
    Fault(
        "live-no-consent",
        "nothing is told to the broker, and nobody listens to it",
        "nobody has consented to the purpose operation",
        "`cardan sync consent give operation`",
    ),
    Fault(
        "live-undecodable",
        "a message among the inputs of live cannot be told",
        "a picture, or a publisher that runs different code",
        "take that topic out of the node's inputs",
    ),
    Fault(
        "live-disk",
        "live cannot keep how far it has told, or what was asked; some is told again after the next start",
        "the disk is full or gone",
        "`df`; make room in the data folder",
    ),
    Fault(
        "live-inbox-full",
        "what is asked of this vehicle is left at the broker: too much waits here, or it is too long",
        "the node downlink is away, or somebody asks very much",
        "`cardan status`; is the node downlink running?",
    ),
    Fault(
        "downlink-outbox",
        "answers and what campaigns collect wait, since the outbox does not take them",
        "the outbox is away, or the disk is full",
        "`cardan status`, `df`",
    ),
    Fault(
        "downlink-disk",
        "downlink cannot remember what it does, so it begins nothing",
        "the disk is full or gone",
        "`df`; make room in the data folder",
    ),
    Fault(
        "downlink-keys",
        "signatures cannot be checked, so whatever is asked waits",
        "the package cryptography is missing",
        "pip install 'cardan[sign]'",
    ),
    Fault(
        "downlink-undecodable",
        "a message among the inputs of downlink cannot be collected",
        "a picture, a very long message, or a publisher that runs different code",
        "take that topic out of the campaign, or out of the node's inputs",
    ),
)
TABLE = {
    "The run": RUN,
    "Nodes": NODE,
    "The computer": MACHINE,
    "Bridge": BRIDGE,
    "CAN": CAN,
    "Engines": ENGINES,
    "Links": LINK,
    "Recorder, outbox and uplink": KEEPING,
    "The vehicle at a broker": OUTSIDE,
}
"""Faults by whom they concern."""


def find_fault(code: str) -> Fault | None:
    """The row of a code; None for a code of somebody else's node."""
    return next((fault for faults in TABLE.values() for fault in faults if fault.code == code), None)


def page() -> str:
    """The table as Markdown: docs/faults.md."""
    lines = [
        "# Faults",
        "",
        "Every fault that cardan reports has a code: in `cardan status`, in the vitals, and in the log (`cardan log`).",
        "This page is made from `runtime/faults.py` and `runtime/log/codes.py` by `python docs/make_faults.py`.",
    ]
    for title, faults in TABLE.items():
        lines += ["", f"## {title}", "", "| code | meaning | likely cause | what helps |", "|---|---|---|---|"]
        lines += [f"| `{f.code}` | {f.meaning} | {f.cause} | {f.cure} |" for f in faults]
    lines += ["", "## Events that are no faults", "", "| code | meaning |", "|---|---|"]
    lines += [f"| `{event.code}` | {event.meaning} |" for event in EVENTS]
    return "\n".join(lines) + "\n"
