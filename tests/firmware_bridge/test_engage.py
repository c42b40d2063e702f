"""The engagement table: every row is taken, priorities hold, each change has one cause."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.firmware_bridge.engage import ACTIVE, TRANSITIONS, Engagement, Event, State

ROWS = [(state, *row) for state, rows in TRANSITIONS.items() for row in rows]


def machine_in(state: State) -> Engagement:
    machine = Engagement(0)
    machine.state = state
    return machine


@pytest.mark.parametrize(("before", "event", "after"), ROWS)
def test_every_row_of_the_table_is_taken_with_its_cause(before: State, event: Event, after: State) -> None:
    machine = machine_in(before)
    transition = machine.step(7, {event: "because"})
    assert transition is not None
    assert (transition.stamp_ns, transition.before, transition.after, transition.cause) == (7, before, after, "because")
    assert (machine.state, machine.entered_ns, machine.cause, machine.changes) == (after, 7, "because", 1)
    assert list(machine.history) == [transition]


@pytest.mark.parametrize("state", list(State))
def test_an_event_that_is_not_in_the_row_changes_nothing(state: State) -> None:
    listed = {event for event, _ in TRANSITIONS[state]}
    machine = machine_in(state)
    assert machine.step(1, {event: "x" for event in Event if event not in listed}) is None
    assert (machine.state, machine.changes, len(machine.history)) == (state, 0, 0)


@pytest.mark.parametrize("state", list(State))
def test_of_two_events_the_upper_row_wins(state: State) -> None:
    for (upper, after), (lower, _) in itertools.combinations(TRANSITIONS[state], 2):
        transition = machine_in(state).step(1, {lower: "lower", upper: "upper"})
        assert transition is not None
        assert (transition.after, transition.cause) == (after, "upper")


def test_every_state_has_a_row_and_no_event_twice() -> None:
    assert set(TRANSITIONS) == set(State)
    for rows in TRANSITIONS.values():
        assert len({event for event, _ in rows}) == len(rows)


def test_every_state_can_be_reached_and_left() -> None:
    reached = {State.DISABLED}
    for _ in State:
        reached |= {after for before, _, after in ROWS if before in reached}
    assert reached == set(State)
    for state in State:
        assert any(before is state and after is not state for before, _, after in ROWS)


def test_the_only_way_to_send_is_through_the_arming_checks() -> None:
    into_active = [(before, event) for before, event, after in ROWS if after in ACTIVE and before not in ACTIVE]
    assert into_active == [(State.PRE_ENABLED, Event.CHECKS_PASSED)]


def test_the_only_way_into_the_checks_is_the_drivers_engage_signal() -> None:
    assert [(before, event) for before, event, after in ROWS if after is State.PRE_ENABLED] == [
        (State.DISABLED, Event.ENGAGE)
    ]


def test_a_fault_ends_every_engagement_and_only_a_person_clears_it() -> None:
    for state in set(State) - {State.FAULT_LATCHED}:
        assert TRANSITIONS[state][0] == (Event.FAULT, State.FAULT_LATCHED)
    assert TRANSITIONS[State.FAULT_LATCHED] == ((Event.RESET, State.DISABLED),)


def test_the_driver_wins_over_everything_but_a_fault_while_the_bridge_sends() -> None:
    for state in ACTIVE:
        assert TRANSITIONS[state][1] == (Event.DRIVER_TAKES_OVER, State.DISABLED)


def test_a_stop_that_is_asked_for_begins_from_every_state_in_which_the_bridge_sends() -> None:
    for state in ACTIVE - {State.SAFE_STOP}:
        assert (Event.STOP_ASKED, State.SAFE_STOP) in TRANSITIONS[state]


def test_a_safe_stop_never_returns_to_control_by_itself() -> None:
    assert State.ENABLED not in {after for _, after in TRANSITIONS[State.SAFE_STOP]}


@given(st.lists(st.sets(st.sampled_from(list(Event)), max_size=4), max_size=40))
def test_at_most_one_change_a_period_each_recorded(periods: list[set[Event]]) -> None:
    machine = Engagement(0)
    for now_ns, events in enumerate(periods, start=1):
        before, changes = machine.state, machine.changes
        transition = machine.step(now_ns, {event: event.value for event in events})
        assert machine.changes == changes + (transition is not None)
        if transition is None:
            assert machine.state is before
        else:
            assert (transition.before, transition.after) == (before, machine.state)
            assert transition.cause in {event.value for event in events}
    for early, late in itertools.pairwise(machine.history):
        assert early.after is late.before


@pytest.mark.parametrize("kind", [State, Event])
def test_states_and_events_are_called_on_the_bus_as_in_the_code(kind: type[State] | type[Event]) -> None:
    assert [item.value for item in kind] == [item.name.lower().replace("_", "-") for item in kind]


def test_the_history_is_bounded() -> None:
    machine = Engagement(0)
    for number in range(1000):
        machine.step(number, {Event.ENGAGE: "on", Event.TIMED_OUT: "off"})
    assert (len(machine.history), machine.changes) == (256, 1000)


def test_active_is_true_exactly_while_the_bridge_sends() -> None:
    assert {state for state in State if machine_in(state).active} == ACTIVE
