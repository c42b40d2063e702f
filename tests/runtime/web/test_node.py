from __future__ import annotations

import http.client
import json
from contextlib import closing

import pytest

from cardan.runtime.errors import ConfigError
from cardan.runtime.plan import write_plan
from cardan.runtime.testing import Bench
from cardan.runtime.vitals import SeriesKind, SeriesVitals
from cardan.runtime.web.node import WebPage, WebPageConfig
from cardan.runtime.web.settings import WebSettings


def test_a_node_serves_its_own_run_and_counts_what_it_denied() -> None:
    with Bench(WebPage, config=WebPageConfig(page=WebSettings(port=0))) as bench:
        write_plan(bench.plan, bench.context.run_dir / "plan.json")
        page = bench.node._page
        assert page is not None
        port = page.server.server_port
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/status.json", headers={"Host": "evil.example"})
            assert connection.getresponse().status == 421
        bench.step()
        denied = bench.vitals.nodes["node"].find(SeriesKind.METRIC, "denied")
        assert denied is not None and denied.words[SeriesVitals.COUNT] == 1
        page.hub._find_ns = 0  # the plan was written after the page first looked
        for _ in range(20):
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                connection.request("GET", "/status.json")
                document = json.loads(connection.getresponse().read())
            if document["run"]:
                break
        assert [node["name"] for node in document["nodes"]] == ["node"]


def test_an_open_door_stops_the_node_before_it_opens() -> None:
    with (
        pytest.raises(ConfigError, match="open to everybody"),
        Bench(WebPage, config=WebPageConfig(page=WebSettings(bind="0.0.0.0"))),
    ):
        pass
