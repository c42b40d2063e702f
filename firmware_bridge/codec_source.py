"""The two functions of one message, written out as Python source and compiled once: no loop over signals is left.

    def unpack(data):
        little = from_bytes(data, "little")
        return {'SPEED': (((little >> 16 & 65535) ^ 32768) - 32768) * 0.004, 'VALID': little >> 12 & 1}

Names enter the source as literals and factors as the numbers that Python itself would print, so a DBC file cannot say
anything else in it. What the functions do is defined by the slower code in `codec`, with which tests compare them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cardan.firmware_bridge.codec import Signal


Unpack = Callable[[bytes], dict[str, float]]
"""Physical values of the message in bytes."""
Pack = Callable[[Mapping[str, float], int], bytes | None]
"""Bytes of the message with values and a counter; None when a signal cannot carry its value. KeyError, ValueError,
OverflowError and TypeError for what is no number at all: then the slower code says what is wrong."""


def is_plain(signals: Sequence[Signal]) -> bool:
    """True when the functions here can carry these signals: whole numbers that are always in the message."""
    return not any(
        signal.float_format or signal.multiplexer or not (math.isfinite(signal.scale) and math.isfinite(signal.offset))
        for signal in signals
    )


def compile_unpack(signals: Sequence[Signal]) -> Unpack:
    """The decoder of a plain message."""
    fields = ", ".join(f"{signal.name!r}: {_physical(signal)}" for signal in signals)
    lines = [f"{order} = from_bytes(data, {order!r})" for order in _orders(signals)]
    unpack: Unpack = _function("unpack(data)", [*lines, f"return {{{fields}}}"], {})
    return unpack


def compile_pack(signals: Sequence[Signal], counter: Signal | None, length: int) -> Pack:
    """The encoder of a plain message of `length` bytes. signals: those that get a value; counter: filled in."""
    lines = [f"if len(values) != {len(signals)}: return None"]
    names: dict[str, object] = {}
    words: dict[str, list[str]] = {"little": [], "big": []}
    for number, signal in enumerate(signals):
        raw, (least, most) = f"raw{number}", signal.raw_range
        lines.append(f"{raw} = {_raw(signal, number)}")
        lines.append(f"if not {least} <= {raw} <= {most}: return None")
        bits = f"({raw} & {signal.mask})" if least else raw
        words[_order(signal)].append(f"{bits} << {signal.shift}")
        names[f"to_raw{number}"] = signal.to_raw
    if counter is not None:
        words[_order(counter)].append(f"(counter & {counter.mask}) << {counter.shift}")
    pack: Pack = _function("pack(values, counter)", [*lines, f"return {_joined(words, length)}"], names)
    return pack


def _function(head: str, lines: list[str], names: dict[str, object]) -> Any:
    source = f"def {head}:\n" + "".join(f"    {line}\n" for line in lines)
    scope: dict[str, object] = {"from_bytes": int.from_bytes, **names}
    exec(compile(source, f"<{head}>", "exec"), scope)  # noqa: S102 - the source holds literals only
    return scope[head.partition("(")[0]]


def _order(signal: Signal) -> str:
    return "big" if signal.big_endian else "little"


def _orders(signals: Sequence[Signal]) -> list[str]:
    return sorted({_order(signal) for signal in signals})


def _physical(signal: Signal) -> str:
    shifted = f"{_order(signal)} >> {signal.shift}" if signal.shift else _order(signal)
    value = f"({shifted} & {signal.mask})"
    if signal.sign_bit:
        value = f"(({value} ^ {signal.sign_bit}) - {signal.sign_bit})"
    if signal.scale != 1 or isinstance(signal.scale, float):
        value = f"{value} * {signal.scale!r}"
    return f"{value} + {signal.offset!r}" if signal.offset else value


def _raw(signal: Signal, number: int) -> str:
    value = f"values[{signal.name!r}]"
    if signal.offset:
        value = f"({value} - {signal.offset!r})"
    if signal.scale == 1:
        return f"round({value})"
    if isinstance(signal.scale, int) and isinstance(signal.offset, int):
        return f"to_raw{number}(values[{signal.name!r}])"
    return f"round({value} / {signal.scale!r})"


def _joined(words: dict[str, list[str]], length: int) -> str:
    """The expression that makes bytes of the signals of both byte orders."""
    little, big = (" | ".join(words[order]) for order in ("little", "big"))
    if not big:
        return f"({little or 0}).to_bytes({length}, 'little')"
    if not little:
        return f"({big}).to_bytes({length}, 'big')"
    other = f"from_bytes(({big}).to_bytes({length}, 'big'), 'little')"
    return f"({little} | {other}).to_bytes({length}, 'little')"
