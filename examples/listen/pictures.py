"""Look at the pictures of a running vehicle without copying them through a socket: pyzmq, msgpack, and mmap.

`python pictures.py ADDRESS FRAMES_FOLDER TOPIC`: prints shape and mean of each picture. A message of this computer
names its arrays: extension 1 is [file, offset, generation, dtype, shape]; there lie 64 bytes with the generation,
then the array. The publisher uses its slots again and again: a copy is whole when the generation is still the same
after it was made.
"""

import mmap
import sys
from pathlib import Path

import msgpack
import numpy as np
import zmq

ENVELOPE, SLOT_HEADER, EXT_SLOT = 32, 64, 1


def read_slot(folder: Path, data: bytes) -> "np.ndarray | None":
    """A copy of the array that a descriptor speaks of; None when it has been overwritten."""
    file, offset, generation, dtype, shape = msgpack.unpackb(data)
    with (folder / file).open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        view = np.frombuffer(memory, dtype, int(np.prod(shape)), offset + SLOT_HEADER)
        array = view.reshape(shape).copy()
        del view
        return array if int.from_bytes(memory[offset : offset + 8], "little") == generation else None


def main(address: str, frames: str, topic: str) -> None:
    socket = zmq.Context().socket(zmq.SUB)
    socket.connect(address)
    socket.subscribe(topic)
    while True:
        _, message = socket.recv_multipart()
        value = msgpack.unpackb(
            message[ENVELOPE:], ext_hook=lambda code, data: read_slot(Path(frames), data) if code == EXT_SLOT else data
        )
        for name, array in value.items():
            if isinstance(array, np.ndarray):
                print(name, array.shape, array.dtype, round(float(array.mean()), 2), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
