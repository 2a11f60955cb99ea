#!/usr/bin/env python3
"""Small pickles in the ways that CIFAR's Python version is pickled, and some that are no such thing. Needs NumPy 2.4.6."""

import os
import pathlib
import pickle
import struct

import numpy as np

OUT = pathlib.Path(__file__).with_name("cifar")
PIXELS = 3 * 32 * 32


def put(name, data):
    OUT.mkdir(exist_ok=True)
    (OUT / name).write_bytes(data)


data = np.zeros((2, PIXELS), np.uint8)
data[0, -1], data[1, 0] = 255, 7
batch = {"batch_label": "testing batch 1 of 1", "labels": [1, 0], "data": data, "filenames": ["a.png", "b.png"]}
meta = {"num_cases_per_batch": 2, "label_names": ["cat", "dog"], "num_vis": PIXELS}
batch100 = {"fine_labels": [1, 0], "coarse_labels": [0, 0], "data": data, "filenames": ["a.png", "b.png"]}
meta100 = {"fine_label_names": ["apple", "pear"], "coarse_label_names": ["fruit"]}


def string(text):
    return b"U" + bytes([len(text)]) + text.encode()


def python2(value):
    """As cPickle of Python 2 has the originals: strings are bytes, numpy.core holds the constructor."""
    if isinstance(value, str):
        body = string(value)
    elif isinstance(value, int):
        body = b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)
        return body
    elif isinstance(value, list):
        return b"]q\x00(" + b"".join(python2(item) for item in value) + b"e"
    elif isinstance(value, dict):
        return b"}q\x01(" + b"".join(python2(key) + python2(item) for key, item in value.items()) + b"u"
    else:
        dtype = b"cnumpy\ndtype\nq\x04" + string("u1") + b"K\x00K\x01\x87Rq\x05(K\x03" + string("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        shape = b"".join(python2(side) for side in value.shape) + b"\x86"
        raw = value.tobytes()
        body = b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85" + string("b") + b"\x87Rq\x06(K\x01"
        body += shape + dtype + b"\x89T" + struct.pack("<I", len(raw)) + raw + b"tb"
    return body


def as_bytes(value):
    """As Python 3 reads the originals with encoding="bytes"."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list):
        return [as_bytes(item) for item in value]
    if isinstance(value, dict):
        return {as_bytes(key): as_bytes(item) for key, item in value.items()}
    return value


for name, value in [("batch", batch), ("meta", meta), ("batch100", batch100), ("meta100", meta100)]:
    put(f"{name}.python2", b"\x80\x02" + python2(value) + b".")
    for protocol in [2, 4, 5]:
        put(f"{name}.protocol{protocol}", pickle.dumps(value, protocol))
    # Written again for Python 2: bytes are texts to encode.
    put(f"{name}.again", pickle.dumps(as_bytes(value), 2))

class System:
    def __reduce__(self):
        return os.system, ("touch /tmp/it-ran",)


put("system", pickle.dumps(System(), 2))
put("floats", pickle.dumps({**batch, "data": data.astype(np.float32)}, 4))
put("columns", pickle.dumps({**batch, "data": np.ascontiguousarray(data.T)}, 4))
put("nested", b"\x80\x02" + b"]" * 3000 + b"a" * 2999 + b".")
