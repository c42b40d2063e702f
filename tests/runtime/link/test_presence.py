from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.link.presence import Change, Presence

TIMEOUT_NS = 1000


@given(st.lists(st.tuples(st.sampled_from(["answered", "look", "cut"]), st.integers(0, 1500)), max_size=60))
def test_changes_alternate_and_every_outage_is_counted(happenings: list[tuple[str, int]]) -> None:
    presence, now_ns, changes, heard_ns = Presence(TIMEOUT_NS, 0), 0, [], 0
    for what, pause_ns in happenings:
        now_ns += pause_ns
        change = getattr(presence, what)(now_ns)
        heard_ns = now_ns if what == "answered" else heard_ns
        if change is not Change.NONE:
            changes.append(change)
            assert presence.since_ns == now_ns
        if what == "look" and presence.up:
            assert now_ns - heard_ns <= TIMEOUT_NS
        assert presence.up or what != "answered"
        assert not presence.up or what != "cut"
    assert changes == [Change.CAME, Change.WENT] * (len(changes) // 2) + [Change.CAME] * (len(changes) % 2)
    assert presence.outages == changes.count(Change.WENT)
    assert presence.up == (len(changes) % 2 == 1)
