"""An encoder for tests: one key picture of H.264's shape for each picture, and troubles on request.

fake_encoder.py FRAME_BYTES [TROUBLE]

Each access unit holds the first four bytes of its picture, with bytes between that can be in no start code.
"""

from __future__ import annotations

import os
import sys
import time

DELIMITER = b"\x00\x00\x00\x01\x09\xf0"
SLICE = b"\x00\x00\x01\x65\x80"


def unit(picture: bytes) -> bytes:
    return DELIMITER + SLICE + b"".join(bytes([byte, 0xFF]) for byte in picture[:4])


def main() -> None:
    size, trouble = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    count = 0
    while True:
        picture = sys.stdin.buffer.read(size)
        if len(picture) < size:
            return
        count += 1
        if trouble == "dies" and count == 3 and size != 320 * 240 * 3:
            sys.stderr.write("out of luck\n")
            sys.exit(7)
        if trouble == "hangs" and count == 3 and size != 320 * 240 * 3:
            time.sleep(600)
        if trouble == "stops" and size != 320 * 240 * 3:
            continue
        if trouble == "babbles" and size != 320 * 240 * 3:
            os.write(1, b"no video at all")
        if trouble == "doubles" and size != 320 * 240 * 3:
            os.write(1, unit(picture))
        os.write(1, unit(picture))


main()
