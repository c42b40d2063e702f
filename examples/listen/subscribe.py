"""Listen to a running vehicle with pyzmq and msgpack alone: `python subscribe.py ADDRESS [TOPIC]`."""

import struct
import sys

import msgpack
import zmq

HEADER = struct.Struct("<QQQIHBB")  # sequence, sent_ns, origin_ns, schema id, epoch, flags (1: valid), version

socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1])
socket.subscribe(sys.argv[2] if len(sys.argv) > 2 else "")
while True:
    topic, message = socket.recv_multipart()
    if topic[:1] != b"@":  # answers to links, not topics
        seq, sent_ns, origin_ns, schema, epoch, flags, version = HEADER.unpack_from(message)
        value = msgpack.unpackb(message[HEADER.size :])
        print(topic.decode(), seq, "valid" if flags & 1 else "not valid", value, flush=True)
