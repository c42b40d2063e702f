"""The same from another computer: `python encrypted.py tcp://ADDRESS:PORT KEYS_FOLDER OUR_NAME SERVER_NAME [TOPIC]`.

`cardan keys new OUR_NAME` here and `cardan keys trust OUR_NAME KEY` there let us in; `cardan keys trust SERVER_NAME
KEY` here makes sure that it is really that computer.
"""

import struct
import sys
from pathlib import Path

import msgpack
import zmq
from zmq.auth import load_certificate

HEADER = struct.Struct("<QQQIHBB")

address, folder, ours, theirs, *topic = sys.argv[1:]
socket = zmq.Context().socket(zmq.SUB)
socket.curve_publickey, socket.curve_secretkey = load_certificate(Path(folder) / f"{ours}.key_secret")
socket.curve_serverkey, _ = load_certificate(Path(folder) / "trusted" / f"{theirs}.key")
socket.connect(address)
socket.subscribe(topic[0] if topic else "")
while True:
    name, message = socket.recv_multipart()
    if name[:1] != b"@":
        seq, sent_ns, origin_ns, schema, epoch, flags, version = HEADER.unpack_from(message)
        value = msgpack.unpackb(message[HEADER.size :])
        print(name.decode(), seq, "valid" if flags & 1 else "not valid", value, flush=True)
