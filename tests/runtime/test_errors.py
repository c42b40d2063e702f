from cardan.runtime.errors import CardanError, near_names


def test_an_error_shows_its_hint_on_a_line_of_its_own() -> None:
    error = CardanError("no frame from the radar on can1 for 0.5 s", hint="is it powered? try `candump can1`")
    assert str(error).splitlines() == [
        "no frame from the radar on can1 for 0.5 s",
        "  hint: is it powered? try `candump can1`",
    ]


def test_an_error_without_a_hint_is_one_line() -> None:
    assert str(CardanError("the disk is full")) == "the disk is full"


def test_an_unknown_name_lists_the_near_ones() -> None:
    assert near_names("camrea", ["camera", "control"]) == 'did you mean "camera"?'


def test_an_unknown_name_far_from_all_lists_what_is_known() -> None:
    assert near_names("zzz", ["control", "camera"]) == "known: camera, control"
    assert near_names("zzz", []) == "none is known here"
