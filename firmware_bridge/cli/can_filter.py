"""Which frames a command shows: by identifier as candump writes them, by message name, by channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from cardan.drivers.can.candump import LoggedFrame
from cardan.drivers.can.channel import EXTENDED_ID_MAX, STANDARD_ID_MAX
from cardan.runtime.cli.exits import UsageError
from cardan.runtime.errors import near_names

if TYPE_CHECKING:
    from cardan.firmware_bridge.frame_reader import Expected

STANDARD_DIGITS = 3
Wanted = Callable[[LoggedFrame], bool]


def frame_filter(ids: Sequence[str], channel: str | None, known: Iterable[Expected] = ()) -> Wanted:
    """True for the frames that are asked for; without any wish, for every frame.

    ids: `2E4`, `18DB33F1`, `2E0:7F0` (identifier and mask), or the name of a message in `known`; several in one word
    with commas. UsageError for what is none of these.
    """
    named = {item.message: item for item in known}
    rules = [_rule(part, named) for word in ids for part in word.split(",") if part]

    def wanted(logged: LoggedFrame) -> bool:
        frame = logged.frame
        if channel is not None and frame.channel != channel:
            return False
        if not rules:
            return True
        return not frame.error and any(
            frame.id & mask == wish and frame.extended == extended for wish, mask, extended in rules
        )

    return wanted


def _rule(text: str, named: dict[str, Expected]) -> tuple[int, int, bool]:
    """Identifier, mask, and whether it is one of 29 bits: written with more than three digits, as candump does."""
    if text in named:
        return named[text].id, EXTENDED_ID_MAX, named[text].extended
    first, colon, second = text.partition(":")
    digits = first.removeprefix("0x").removeprefix("0X")
    wish, mask = _hex(digits), _hex(second.removeprefix("0x")) if colon else EXTENDED_ID_MAX
    if wish is None or mask is None or wish > EXTENDED_ID_MAX:
        near = near_names(text, list(named)) if named else "for example --id 2E4, --id 18DB33F1, --id 2E0:7F0"
        raise UsageError(f'--id "{text}" is neither an identifier in hex nor a message that is known here', hint=near)
    return wish & mask, mask, len(digits) > STANDARD_DIGITS or wish > STANDARD_ID_MAX


def _hex(text: str) -> int | None:
    try:
        return int(text, 16) if text and text.isalnum() else None
    except ValueError:
        return None


def id_text(frame_id: int, extended: bool) -> str:
    """An identifier as candump writes it: three or eight hex digits."""
    return f"{frame_id:08X}" if extended else f"{frame_id:03X}"
