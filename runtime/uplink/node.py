"""The uplink node: empties the outbox into the store when that is allowed."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Annotated, Literal

import msgspec

from cardan.runtime.bus.ports import Metric
from cardan.runtime.clock import NS_PER_S
from cardan.runtime.errors import NodeError
from cardan.runtime.findings import Objection
from cardan.runtime.node.node import Node, NodeConfig
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.outbox.names import checked_name
from cardan.runtime.outbox.segment import Record, RecordClass, SegmentHeader
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.privacy.consent import ConsentFile
from cardan.runtime.privacy.policy import open_policy
from cardan.runtime.uplink.budget import Budgets
from cardan.runtime.uplink.files import FileQueue
from cardan.runtime.uplink.forms import form_of, forms_with, usual_form
from cardan.runtime.uplink.holds import Conditions
from cardan.runtime.uplink.keys.choose import KEYS, open_sealer, review_key
from cardan.runtime.uplink.keys.sealer import Sealer
from cardan.runtime.uplink.links import LOCAL, Link, System, link_of
from cardan.runtime.uplink.parcels import SyncSettings
from cardan.runtime.uplink.signals import Signal
from cardan.runtime.uplink.status import SyncReport, store_dir, uplink_dir, write_report
from cardan.runtime.uplink.stores.choose import is_on_this_computer, open_store
from cardan.runtime.uplink.sync import Sync, open_sync
from cardan.runtime.uplink.wishes import UplinkWishes, WishesFile
from cardan.runtime.uplink.worker import Worker

LINK_EVERY_NS = 10 * NS_PER_S
"""How often the link is looked at: a process may be started for it."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
OUTBOX = "cardan.runtime.outbox.node:Outbox"
NO_HEADER = SegmentHeader(vehicle="", boot="", stream="", log="")
NO_RECORD = Record(1, 0, 0, RecordClass.TREND, b"{}")

Positive = Annotated[float, msgspec.Meta(gt=0)]
Bytes = Annotated[int, msgspec.Meta(ge=0)]
ClassName = Literal["critical", "event", "trend", "bulk"]


class UplinkConfig(NodeConfig, frozen=True):
    """Settings of the uplink."""

    consent: bool = False
    """True allows that data leaves the vehicle. Without it records are kept; the oldest go when the outbox is full."""
    store: str = ""
    """`file:///an/existing/folder`, `azure://ACCOUNT/CONTAINER`, `s3://BUCKET?region=R`; empty is `store` in the data
    folder. docs/uplink.md has all forms."""
    access_file: str = ""
    """File with the key to the store (a SAS, or a JSON object), which something else renews; empty: the environment has
    it (workload identity). A path that is not absolute begins in the folder of the manifest."""
    store_options: dict[str, str] = msgspec.field(default_factory=dict)
    """What obstore knows beside the place and the key, such as `client_id`, `tenant_id`, `role_arn`."""
    form: str = ""
    """How objects are written: `jsonl`, `jsonl-zstd` and `columns` (extra `record`), `parquet` (extra `parquet`).
    Empty: `jsonl-zstd`, or `jsonl` where zstandard is not installed."""
    encryption_key: str = ""
    """Encrypts every object; empty: nothing does. A file of a key (32 bytes in base64, readable for its owner only;
    extra `sign`), or a `pkcs11:` address of a key in a token, such as a TPM (extra `token`). A path that is not
    absolute begins in the folder of the manifest."""
    encryption_recipients: list[str] = msgspec.field(default_factory=list)
    """Files of public RSA keys (PEM): whoever has a private half opens the objects too, without the token."""
    signals: dict[str, Signal] = msgspec.field(default_factory=dict)
    """Names of signals in `parquet` and `columns`, by `topic.field` or `Type.field`, such as
    `{ "gnss/fix.altitude_m" = { name = "Vehicle.CurrentLocation.Altitude" } }`; docs/uplink.md has those we know."""
    block_from_bytes: Annotated[int, msgspec.Meta(ge=1 << 16)] = 4 << 20
    """Larger objects go to Azure in blocks of 256 KiB that are taken up again after a cut. Smaller for slow links."""
    over_metered: list[ClassName] = msgspec.field(default_factory=lambda: ["critical", "event", "trend"])
    """Classes that may leave over a link whose bytes cost money."""
    budgets: dict[Literal["ethernet", "wifi", "mobile", "other"], dict[ClassName, Bytes]] = msgspec.field(
        default_factory=dict
    )
    """Bytes a day by kind of link and class, such as `{ mobile = { trend = 50_000_000 } }`; no entry: no limit."""
    close_timeout_s: Positive = 1.0
    """How long the last deliveries may take when the run ends; what is left waits for the next run."""


class Uplink(Node):
    """Bring what is complete in the outbox to the store."""

    config: UplinkConfig
    rate_hz = 10.0
    stops_last = True  # what the outbox seals at its end should still leave
    synced = Metric("records")

    _claims: Claims | None = None
    _sync: Sync | None = None
    _worker: Worker | None = None

    @classmethod
    def review(cls, plan: Plan, node: NodePlan) -> list[Objection]:
        """An address of a key must be one."""
        config = msgspec.convert(node.config, UplinkConfig)
        path = ("nodes", node.name, "config")
        return review_key(path, config.encryption_key, config.encryption_recipients)

    def open(self) -> None:
        config, data_dir = self.config, self.context.data_dir
        folder = uplink_dir(data_dir)
        forms = forms_with(config.signals)
        form = config.form or usual_form()
        form_of(forms, form).encode(NO_HEADER, [NO_RECORD])  # says what is not installed before anything leaves
        self._store = open_store(
            config.store,
            default=store_dir(data_dir),
            notes=folder / "blocks",
            access_file=str(self._beside_manifest(config.access_file)) if config.access_file else "",
            options=config.store_options,
        )
        self._report: SyncReport | None = None
        self._last_delivery_wall_ns: int | None = None
        self._consent = ConsentFile(data_dir, list(self.context.privacy.consent))
        self._wishes_file, self._wishes = WishesFile(folder), UplinkWishes()
        self._system, self._link = System(), LOCAL
        self._looked_ns: int | None = None
        self._claims = Claims(outbox_dir(data_dir), self.clock)
        self._claims.open()
        self._sync = open_sync(
            self._claims,
            self._store,
            folder,
            clock=self.clock,
            random=Random(),
            settings=SyncSettings(
                forms=forms, form=form, sealer=self._sealer_or_none(), block_from_bytes=config.block_from_bytes
            ),
            budgets=budgets_of(config),
            files=FileQueue(
                folder,
                vehicle=self._vehicle_name(),
                boot=BOOT_ID.read_text().strip(),
                block_from_bytes=config.block_from_bytes,
            ),
            report_fault=self.report_fault,
        )
        self._look(self._sync)
        self._worker = Worker(self._sync)
        self._write_report()

    def step(self) -> None:
        if self._sync is not None:
            self._look(self._sync)
        self._write_report()

    def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.settle(self.config.close_timeout_s)
            self._tell(worker)
            if not worker.stop(self.config.close_timeout_s):
                return  # it still waits for the store: the claims end with this process
        if self._sync is not None:
            self._sync.close()
        if self._claims is not None:
            self._claims.close()

    def _sealer_or_none(self) -> Sealer | None:
        config, context = self.config, self.context
        if not config.encryption_key:
            return None
        return open_sealer(
            config.encryption_key,
            config.encryption_recipients,
            base=context.manifest_dir,
            folder=uplink_dir(context.data_dir) / KEYS,
            boot=BOOT_ID.read_text().strip(),
            report_fault=self.report_fault,
        )

    def _beside_manifest(self, name: str) -> Path:
        return self.context.manifest_dir / Path(name).expanduser()

    def _vehicle_name(self) -> str:
        """How the store knows this vehicle: what the outbox writes into its segments."""
        context = self.context
        plan = msgspec.json.decode(context.plan_json, type=Plan)
        names = (node.config.get("vehicle_id") for node in plan.nodes if node.use == OUTBOX)
        policy = open_policy(context.privacy, context.data_dir, context.manifest_dir)
        return policy.vehicle_name(checked_name("vehicle_id", next((str(name) for name in names if name), "bench")))

    def settle(self, timeout_s: float) -> bool:
        """Wait until there is nothing to send, and write the report; False when that takes longer."""
        done = self._live_worker.settle(timeout_s)
        self._write_report()
        return done

    @property
    def _live_worker(self) -> Worker:
        if self._worker is None:
            raise NodeError("the uplink was used before it was opened")
        return self._worker

    def _look(self, sync: Sync) -> None:
        """Tell the thread what has changed around it."""
        wishes = self._wishes_file.read()
        if self._worker is not None and wishes.retries != self._wishes.retries:
            self._worker.retry()
        metered_changed = wishes.metered != self._wishes.metered
        self._wishes = wishes
        self._link = self._link_now(anew=metered_changed)
        sync.conditions = Conditions(
            consent=self.config.consent,
            purposes=self._consent.now().purposes,
            paused=wishes.paused,
            link=self._link,
            over_metered=tuple(self.config.over_metered),
        )

    def _link_now(self, *, anew: bool) -> Link:
        if is_on_this_computer(self.config.store):
            return LOCAL
        now_ns = self.clock.now_ns()
        if anew or self._looked_ns is None or now_ns - self._looked_ns >= LINK_EVERY_NS:
            self._looked_ns = now_ns
            interface = self._system.default_interface()
            self._link = link_of(interface, self.context.profile.links, self._wishes.metered, self._system)
        return self._link

    def _write_report(self) -> None:
        self._tell(self._live_worker)

    def _tell(self, worker: Worker) -> None:
        progress = worker.check()
        records = worker.take_records()
        if records:
            self.synced.observe(records)
            self._last_delivery_wall_ns = self.clock.wall_ns()
        report = SyncReport(
            store=self._store.url,
            consent=self.config.consent,
            link=self._link,
            problem=progress.problem,
            problem_kind=progress.problem_kind,
            objects=progress.objects,
            sent_bytes=progress.sent_bytes,
            failures=progress.failures,
            retry_wall_ns=self._wall_of(progress.retry_ns),
            holds=progress.holds,
            left_bytes=progress.left_bytes,
            withdrawn=progress.withdrawn,
            refused={name.name: name.refused for name in progress.refused},
            last_delivery_wall_ns=self._last_delivery_wall_ns,
        )
        if report == self._report:
            return
        try:
            write_report(self.context.data_dir, report)
            self._report = report
        except OSError as error:
            self.report_fault("uplink-disk", f"{uplink_dir(self.context.data_dir)}: {error.strerror}")

    def _wall_of(self, mono_ns: int) -> int | None:
        """A moment of the monotonic clock as a label, to the second so that it does not change by itself."""
        ahead_ns = mono_ns - self.clock.now_ns()
        return (self.clock.wall_ns() + ahead_ns) // NS_PER_S * NS_PER_S if ahead_ns > 0 else None


def budgets_of(config: UplinkConfig) -> Budgets:
    """The budgets as the ledger takes them."""
    return {kind: {str(name): size for name, size in by_class.items()} for kind, by_class in config.budgets.items()}
