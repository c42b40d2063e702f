"""The uplink node: empties the outbox into the store when that is allowed."""

from __future__ import annotations

from random import Random
from typing import Annotated

import msgspec

from cardan.runtime.bus.ports import Metric
from cardan.runtime.clock import ns
from cardan.runtime.node.node import Node, NodeConfig
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.uplink.status import SyncReport, store_dir, uplink_dir, write_report
from cardan.runtime.uplink.stores.choose import open_store
from cardan.runtime.uplink.sync import Sync

SYNC_SLICE_S = 0.05
"""How long a step goes on with deliveries; one delivery is never cut short."""

Positive = Annotated[float, msgspec.Meta(gt=0)]


class UplinkConfig(NodeConfig, frozen=True):
    """Settings of the uplink."""

    consent: bool = False
    """True allows that data leaves the vehicle. Without it records are kept; the oldest go when the outbox is full."""
    store: str = ""
    """`file:///an/existing/folder`, `azure://ACCOUNT/CONTAINER`, `s3://BUCKET?region=R`; empty is `store` in the data
    folder. docs/uplink.md has all forms."""
    access_file: str = ""
    """File with the key to the store (a SAS, or a JSON object), which something else renews; empty: the environment has
    it (workload identity)."""
    store_options: dict[str, str] = msgspec.field(default_factory=dict)
    """What obstore knows beside the place and the key, such as `client_id`, `tenant_id`, `role_arn`."""
    close_timeout_s: Positive = 1.0
    """How long the last deliveries may take when the run ends; what is left waits for the next run."""


class Uplink(Node):
    """Bring what is complete in the outbox to the store."""

    config: UplinkConfig
    rate_hz = 10.0
    stops_last = True  # what the outbox seals at its end should still leave
    synced = Metric("records")

    _claims: Claims | None = None

    def open(self) -> None:
        data_dir = self.context.data_dir
        self._store = open_store(
            self.config.store,
            default=store_dir(data_dir),
            notes=uplink_dir(data_dir) / "blocks",
            access_file=self.config.access_file,
            options=self.config.store_options,
        )
        self._report: SyncReport | None = None
        self._last_delivery_wall_ns: int | None = None
        claims = Claims(outbox_dir(data_dir), self.clock)
        claims.open()
        self._claims = claims
        self._sync = Sync(claims, self._store, Random())
        self._write_report()

    def step(self) -> None:
        self._deliver_until(self.clock.now_ns() + ns(SYNC_SLICE_S))
        self._write_report()

    def close(self) -> None:
        if self._claims is None:
            return
        self._deliver_until(self.clock.now_ns() + ns(self.config.close_timeout_s))
        self._write_report()
        self._claims.close()
        self._claims = None

    def _deliver_until(self, deadline_ns: int) -> None:
        while self.config.consent and self.clock.now_ns() <= deadline_ns:
            count = self._sync.step(self.clock.now_ns())
            if not count:
                return
            self.synced.observe(count)
            self._last_delivery_wall_ns = self.clock.wall_ns()

    def _write_report(self) -> None:
        report = SyncReport(
            store=self._store.url,
            consent=self.config.consent,
            problem=self._sync.problem,
            objects=self._sync.objects,
            last_delivery_wall_ns=self._last_delivery_wall_ns,
        )
        if report == self._report:
            return
        try:
            write_report(self.context.data_dir, report)
            self._report = report
        except OSError as error:
            self.report_fault("uplink-disk", f"{outbox_dir(self.context.data_dir)}: {error.strerror}")
