"""The policy: what is withheld, what is kept, and what of it is changed, before anything reaches a disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardan.runtime.clock import NS_PER_S, FakeClock
from cardan.runtime.privacy.policy import IN_ZONE, NO_CONSENT, UNREADABLE, Outcome, Policy
from cardan.runtime.privacy.pseudonym import Pseudonyms
from cardan.runtime.privacy.settings import FieldRule, PositionFields, PrivacySettings, Zone

FIX = PositionFields(topic="gnss/fix")
HOME = Zone(name="home", latitude_deg=48.0, longitude_deg=11.0, radius_m=500.0)
VIN = "WVWZZZ1JZXW000001"
NAMES = st.text("abc", min_size=1, max_size=2)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text("xyz", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
PATHS = st.lists(NAMES | st.just("*"), min_size=1, max_size=3).map(".".join)


def record(topic: str, message: Any) -> bytes:
    return json.dumps({"topic": topic, "message": message}).encode()


def kept(outcome: Outcome) -> dict[str, Any]:
    assert outcome.payload is not None, outcome.reason
    found: dict[str, Any] = json.loads(outcome.payload)
    return found


def at(policy: Policy, latitude: float, now_s: float) -> None:
    policy.saw("gnss/fix", {"latitude_deg": latitude, "longitude_deg": 11.0}, round(now_s * NS_PER_S))


def test_a_record_says_what_it_is_kept_for(policy_with: Callable[..., Policy]) -> None:
    policy = policy_with(purposes={"state/*": "operation"}, default_purpose="diagnostics")
    assert kept(policy.decide(record("state/vehicle", {}), "state/vehicle", 0))["purpose"] == "operation"
    assert kept(policy.decide(record("a/b", {}), "a/b", 0))["purpose"] == "diagnostics"
    assert kept(policy.decide(record("a/b", {}), "a/b", 0, "improvement"))["purpose"] == "improvement"
    assert kept(policy.decide(record("downlink/result", {}), "downlink/result", 0))["purpose"] == "operation"


def test_without_a_word_nothing_is_kept(policy_with: Callable[..., Policy]) -> None:
    policy = policy_with(consent=[])
    assert policy.decide(record("a/b", {}), "a/b", 0) == Outcome(None, NO_CONSENT)


def test_consent_counts_from_the_next_record_on(policy_with: Callable[..., Policy]) -> None:
    policy = policy_with(consent=["operation"], purposes={"state/*": "operation"})
    before = policy.hash
    assert policy.withheld("camera/x", 0) == NO_CONSENT and not policy.withheld("state/vehicle", 0)
    policy._consent.say(["improvement"], given=True, by="anna", clock=FakeClock())
    assert not policy.withheld("camera/x", 0)
    assert policy.hash != before
    policy._consent.say(["operation", "improvement"], given=False, by="anna", clock=FakeClock())
    assert policy.withheld("camera/x", 0) == policy.withheld("state/vehicle", 0) == NO_CONSENT


def test_nothing_is_kept_inside_a_zone_and_everything_again_outside(policy_with: Callable[..., Policy]) -> None:
    policy = policy_with(zones=[HOME], positions=[FIX])
    at(policy, 48.1, 10.0)
    assert not policy.withheld("a/b", 10 * NS_PER_S)
    at(policy, 48.001, 11.0)
    assert policy.withheld("a/b", 12 * NS_PER_S) == IN_ZONE
    at(policy, 48.1, 13.0)
    assert not policy.withheld("a/b", 13 * NS_PER_S)


def test_what_was_seen_inside_a_zone_is_not_kept_afterwards_either(policy_with: Callable[..., Policy]) -> None:
    policy = policy_with(zones=[HOME], positions=[FIX])
    for latitude, now_s in ((48.1, 10.0), (48.0, 12.0), (48.1, 14.0)):
        at(policy, latitude, now_s)
    found = [bool(policy.withheld("a/b", second * NS_PER_S)) for second in (9, 11, 12, 13, 14)]
    assert found == [True, False, True, True, False]  # before the first position nobody knows


def test_a_position_that_is_old_or_missing_counts_as_inside(policy_with: Callable[..., Policy]) -> None:
    policy = policy_with(zones=[HOME], positions=[FIX], position_max_age_s=2.0)
    assert policy.withheld("a/b", 0) == IN_ZONE
    at(policy, 48.1, 10.0)
    assert not policy.withheld("a/b", 12 * NS_PER_S)
    assert policy.withheld("a/b", 12 * NS_PER_S + 1) == IN_ZONE
    at(policy, 48.1, 20.0)
    assert policy.withheld("a/b", 15 * NS_PER_S) == IN_ZONE  # it may have been home meanwhile
    assert not policy.withheld("a/b", 11 * NS_PER_S)


def test_a_position_that_is_none_changes_nothing(policy_with: Callable[..., Policy]) -> None:
    policy = policy_with(zones=[HOME], positions=[FIX])
    at(policy, 48.1, 10.0)
    policy.saw("gnss/fix", {"latitude_deg": float("nan"), "longitude_deg": 11.0}, 11 * NS_PER_S)
    policy.saw("gnss/fix", {}, 11 * NS_PER_S)
    policy.saw("other/fix", {"latitude_deg": 48.0, "longitude_deg": 11.0}, 11 * NS_PER_S)
    assert not policy.withheld("a/b", 11 * NS_PER_S)


def test_a_zone_may_be_for_some_topics_only(policy_with: Callable[..., Policy]) -> None:
    zone = Zone(name="home", latitude_deg=48.0, longitude_deg=11.0, radius_m=500.0, topics=["camera/*"])
    policy = policy_with(zones=[zone], positions=[FIX])
    at(policy, 48.0, 1.0)
    assert policy.withheld("camera/frame", NS_PER_S) == IN_ZONE and not policy.withheld("state/vehicle", NS_PER_S)


def test_positions_are_kept_on_the_grid_and_other_topics_are_left_alone(policy_with: Callable[..., Policy]) -> None:
    policy = policy_with(positions=[FIX], grid_m=1000.0)
    message = {"latitude_deg": 48.123456, "longitude_deg": 11.654321, "sats": 9}
    near = {"latitude_deg": 48.123457, "longitude_deg": 11.654322, "sats": 9}
    coarse = kept(policy.decide(record("gnss/fix", message), "gnss/fix", 0))["message"]
    assert coarse == kept(policy.decide(record("gnss/fix", near), "gnss/fix", 0))["message"]
    assert abs(coarse["latitude_deg"] - 48.123456) < 0.01 and coarse["latitude_deg"] != 48.123456
    assert coarse["sats"] == 9
    assert kept(policy.decide(record("a/b", message), "a/b", 0))["message"] == message


def test_what_should_be_a_position_and_is_none_is_removed(policy_with: Callable[..., Policy]) -> None:
    policy = policy_with(positions=[FIX], grid_m=1000.0)
    message = {"latitude_deg": "48.1", "longitude_deg": 11.0, "sats": 9}
    assert kept(policy.decide(record("gnss/fix", message), "gnss/fix", 0))["message"] == {"sats": 9}


def test_the_identification_number_stands_nowhere_but_its_pseudonym_does(policy_with: Callable[..., Policy]) -> None:
    policy = policy_with(vin=VIN)
    outcome = policy.decide(record("a/b", {"text": f"read {VIN} by UDS", "vin": VIN}), "a/b", 0)
    assert outcome.payload is not None and VIN.encode() not in outcome.payload
    assert kept(outcome)["message"]["vin"] == Pseudonyms(b"k" * 32).of(VIN)


def test_a_record_that_rules_cannot_be_applied_to_is_withheld(policy_with: Callable[..., Policy]) -> None:
    policy = policy_with(fields=[FieldRule(topic="a/*", field="x", action="remove")])
    assert policy.decide(b'{"topic":"a/b","message":', "a/b", 0) == Outcome(None, UNREADABLE)


def test_the_vehicle_has_a_pseudonym_where_the_settings_want_one(policy_with: Callable[..., Policy]) -> None:
    assert policy_with().vehicle_name("car-7") == "car-7"
    name = policy_with(pseudonymous=True).vehicle_name("car-7")
    assert name.startswith("p-") and "car-7" not in name and len(name) == 26


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.dictionaries(NAMES, PLAIN, max_size=4), path=PATHS, action=st.sampled_from(["remove", "pseudonym"]))
def test_whatever_a_message_looks_like_no_text_is_left_at_the_path_of_a_rule(
    policy_with: Callable[..., Policy], message: dict[str, Any], path: str, action: Any
) -> None:
    policy = policy_with(fields=[FieldRule(topic="a/b", field=path, action=action)])
    after = kept(policy.decide(record("a/b", message), "a/b", 0))["message"]
    left = list(values_at(after, path.split(".")))
    assert all(isinstance(value, str) and value.startswith("p-") for value in left)
    assert action == "pseudonym" or not left
    again = policy.decide(record("a/b", after), "a/b", 0)
    assert action == "pseudonym" or kept(again)["message"] == after


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e6))
def test_a_rounded_number_is_at_most_half_a_step_away(value: float, step: float) -> None:
    from cardan.runtime.privacy.fields import with_rule

    rule = FieldRule(topic="a/b", field="x", action="round", step=step)
    rounded = with_rule({"x": value}, rule, Pseudonyms(b""))["x"]
    assert abs(rounded - value) <= step * 0.5001 + abs(value) * 1e-12
    assert with_rule({"x": "secret"}, rule, Pseudonyms(b"")) == {}


def values_at(node: Any, path: list[str]) -> Any:
    if not path:
        yield node
    elif path[0] == "*" and isinstance(node, list | dict):
        for item in node if isinstance(node, list) else node.values():
            yield from values_at(item, path[1:])
    elif isinstance(node, dict) and path[0] in node:
        yield from values_at(node[path[0]], path[1:])


def test_the_hash_stands_for_settings_key_and_consent(policy_with: Callable[..., Policy]) -> None:
    assert policy_with(grid_m=10.0).hash == policy_with(grid_m=10.0).hash
    assert policy_with(grid_m=10.0).hash != policy_with(grid_m=20.0).hash
    assert policy_with(consent=[]).hash != policy_with().hash
    settings_ = PrivacySettings()
    one, other = (Policy(settings_, policy_with()._consent, Pseudonyms(key)) for key in (b"a" * 32, b"b" * 32))
    assert one.hash != other.hash


def test_a_check_says_what_a_vehicle_will_keep() -> None:
    from cardan.runtime.graph import load_plan
    from cardan.runtime.privacy.review import explain_consent

    plan = load_plan(None)
    assert "keeps what is for operation" in explain_consent(plan, plan.node("outbox"))[0]
    silent = msgspec.structs.replace(plan, privacy=PrivacySettings())
    assert "keeps nothing until" in explain_consent(silent, silent.node("outbox"))[0]
