"""How a ring lies in its file: a page of words, an index, and the records.

    page      4096 bytes: the 64-bit words below, then names; only the publisher writes them after the file was made
    index     one 64-bit word for each of the last `entries` messages: where its record starts
    data      the records, one after the other; none crosses the end

A place is counted in bytes written since the file was made, so it never repeats; it lies in the data at place modulo
the size of the data. A record is two words and the message (envelope and payload): seal (32 bits) and length (32
bits), then the number of the message. The seal is the CRC-32 of the message, begun with its number. Memory order is
not ours to command in Python: a reader believes a record only when its seal fits what it has copied.
"""

from __future__ import annotations

import struct

MAGIC = 0x3147_4E49_5256_4143  # "CAVRING1"
PAGE = 4096
WORD = 8

MAGIC_AT, DATA_BYTES, ENTRIES, RESERVED, COUNT, SCHEMA, EPOCH, PUBLISHER = range(8)
"""RESERVED: the place up to which the publisher may be writing. COUNT: messages that are complete.
SCHEMA, EPOCH and PUBLISHER (process id) are those of the newest publisher; 0 before the first."""
TOPIC_AT, TOPIC_BYTES = 512, 256

RECORD = struct.Struct("<IIQ")
"""Seal, length of the message, number of the message."""
RECORD_HEAD = RECORD.size
LOW_32 = 0xFFFF_FFFF
SALT = 0x5EA1_1234
"""What the number is mixed with where a seal begins: memory of zeros alone is no message."""
ALIGNMENT = 16

USUAL_DATA_BYTES = 1 << 20
SHORTEST_MEAN = 128
"""The index has an entry for every so many bytes of data; shorter messages fill it before the data."""


def largest_message(data_bytes: int) -> int:
    """Envelope and payload of the longest message that a ring takes: an eighth of it, so that a reader has time."""
    return data_bytes // 8 - RECORD_HEAD


def entries_of(data_bytes: int) -> int:
    """How many messages a ring holds at most."""
    return data_bytes // SHORTEST_MEAN


def file_bytes(data_bytes: int) -> int:
    """Size of the file of a ring."""
    return PAGE + entries_of(data_bytes) * WORD + data_bytes


def is_size(data_bytes: int) -> bool:
    """Whether the data of a ring may have this length."""
    return 4096 <= data_bytes <= 1 << 40 and data_bytes & (data_bytes - 1) == 0
