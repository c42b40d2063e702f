"""`web-page`: the page as a node of a run, for vehicles that always offer it. `cardan watch` needs no node."""

from __future__ import annotations

from cardan.runtime.bus.ports import Metric
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.node.node import Node, NodeConfig
from cardan.runtime.plan import read_plan
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import open_vitals
from cardan.runtime.web.serve import Page
from cardan.runtime.web.settings import WebSettings


class WebPageConfig(NodeConfig, frozen=True, kw_only=True):
    """Settings of the node; empty serves this computer only."""

    page: WebSettings = WebSettings()


class WebPage(Node):
    """Serves the page of its own run. It must not be real-time: each viewer has a thread."""

    config: WebPageConfig
    rate_hz = 1.0
    refused = Metric("connections")
    """Beyond the bound."""
    denied = Metric("requests")
    """With the wrong host or token."""
    dropped = Metric("viewers")
    """Pages that were too slow."""

    def open(self) -> None:
        self._page: Page | None = None
        self._page = Page(self.config.page, self._find, MonotonicClock())
        self._counted = {"refused": 0, "denied": 0, "dropped": 0}
        self.log.info("the page is at %s", self._page.address)

    def step(self) -> None:
        """Keep the counters in the vitals."""
        page = self._page
        if page is None:
            return
        now = {
            "refused": page.server.counters.refused,
            "denied": page.server.counters.denied,
            "dropped": page.hub.dropped,
        }
        for name, meter in (("refused", self.refused), ("denied", self.denied), ("dropped", self.dropped)):
            if now[name] > self._counted[name]:
                meter.observe(now[name] - self._counted[name])
        self._counted = now

    def close(self) -> None:
        if self._page is not None:
            self._page.close()

    def _find(self) -> FoundRun:
        paths = RunPaths(self.context.run_dir, self.context.data_dir)
        plan = read_plan(paths.plan)
        return FoundRun(plan, open_vitals(paths.vitals, plan), paths.run_id, paths.data_dir, paths.bus)
