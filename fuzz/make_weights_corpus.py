#!/usr/bin/env python3
"""Tiny valid files of weights that fuzzing starts from, written byte by byte. Needs Python's standard library alone."""

import collections
import io
import json
import pathlib
import pickle
import struct
import sys
import types
import zipfile

CORPUS = pathlib.Path(__file__).with_name("corpus")


def put(reader, name, data):
    (CORPUS / reader).mkdir(parents=True, exist_ok=True)
    (CORPUS / reader / name).write_bytes(data)


# PyTorch: its pickles hold the names of its classes and functions, which need not do anything here.
def module(name, **members):
    made = sys.modules.setdefault(name, types.ModuleType(name))
    for member, value in members.items():
        value.__module__, value.__qualname__ = name, member
        setattr(made, member, value)
    return made


def named(name):
    return type(name, (), {})


torch = module("torch", FloatStorage=named("FloatStorage"), HalfStorage=named("HalfStorage"), LongStorage=named("LongStorage"),
               DoubleStorage=named("DoubleStorage"))
utils = module("torch._utils", _rebuild_tensor_v2=lambda *_: None, _rebuild_parameter=lambda *_: None)
module("torch.nn.modules.linear", Linear=named("Linear"))
FORMS = {"FloatStorage": "f", "HalfStorage": "e", "LongStorage": "q", "DoubleStorage": "d"}


class Storage:
    def __init__(self, key, form, count):
        self.key, self.form, self.count = key, form, count

    def bytes(self):
        return struct.pack(f"<{self.count}{FORMS[self.form]}", *range(self.count))


class Tensor:
    def __init__(self, storage, shape, offset=0, strides=None):
        self.storage, self.shape, self.offset = storage, shape, offset
        self.strides = strides or tuple(_product(shape[at + 1:]) for at in range(len(shape)))

    def __reduce__(self):
        arguments = (self.storage, self.offset, self.shape, self.strides, False, collections.OrderedDict())
        return utils._rebuild_tensor_v2, arguments


class Parameter(Tensor):
    def __reduce__(self):
        return utils._rebuild_parameter, (Tensor(self.storage, self.shape), True, collections.OrderedDict())


def _product(numbers):
    product = 1
    for number in numbers:
        product *= number
    return product


def pickled(value, storages, protocol):
    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            if value not in storages:
                storages.append(value)
            return "storage", getattr(torch, value.form), value.key, "cpu", value.count

    out = io.BytesIO()
    Pickler(out, protocol=protocol).dump(value)
    return out.getvalue()


def zipped(value, protocol=2, compression=zipfile.ZIP_STORED, checksums=True):
    storages, out = [], io.BytesIO()
    data = pickled(value, storages, protocol)
    with zipfile.ZipFile(out, "w", compression) as archive:
        entries = [("data.pkl", data), ("byteorder", b"little"), ("version", b"3\n")]
        entries += [(f"data/{storage.key}", storage.bytes()) for storage in storages]
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(f"a/{name}"), content, compression)
        sums = {info.CRC for info in archive.infolist()}
    archive = out.getvalue()
    if not checksums:  # as `compute_crc32=False` of `torch.save` has it
        for checksum in sums:
            archive = archive.replace(struct.pack("<I", checksum), bytes(4))
    return archive


def legacy(value, protocol=2):
    storages = []
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    pickles = [pickle.dumps(first, protocol) for first in (0x1950A86A20F9469CFC6C, 1001, machine)]
    pickles.append(pickled(value, storages, protocol))
    pickles.append(pickle.dumps([storage.key for storage in storages], protocol))
    return b"".join(pickles) + b"".join(struct.pack("<q", each.count) + each.bytes() for each in storages)


def state(prefix="", first=0):
    forms = [("FloatStorage", 6), ("HalfStorage", 2), ("LongStorage", 1), ("DoubleStorage", 6)]
    weight, bias, steps, wide = [Storage(str(first + at), *form) for at, form in enumerate(forms)]
    return collections.OrderedDict([
        (prefix + "a.weight", Tensor(weight, (2, 3))), (prefix + "a.bias", Tensor(bias, (2,))),
        (prefix + "b.weight", Tensor(wide, (3, 2), strides=(1, 3))), (prefix + "steps", Tensor(steps, ())),
    ])


def model():
    linear = sys.modules["torch.nn.modules.linear"].Linear()
    linear.__dict__ = {"training": True, "_buffers": {}, "_modules": {},
                       "_parameters": {"weight": Parameter(Storage("0", "FloatStorage", 6), (2, 3))}}
    return linear


checkpoint = {"epoch": 3, "best": 0.5, "args": {"lr": 0.1, "name": "a\u00e9"}, "model": state("module."), "ema": state(first=4),
              "optimizer": {"state": {0: {"momentum_buffer": Tensor(Storage("9", "FloatStorage", 2), (2,))}},
                            "param_groups": [{"lr": 0.1, "params": [0]}]}}
for name, value in [("state", state()), ("checkpoint", checkpoint), ("model", model())]:
    put("pytorch_zip", f"{name}.pth", zipped(value, checksums=False))
    put("pytorch_zip", f"{name}.pkl", pickled(value, [], 2))
    put("pytorch_legacy", f"{name}.pth", legacy(value))
put("pytorch_zip", "checksums.pth", zipped(state()))
put("pytorch_zip", "deflated.pth", zipped(state(), compression=zipfile.ZIP_DEFLATED))
put("pytorch_zip", "protocol-4.pth", zipped(checkpoint, protocol=4, checksums=False))
put("pytorch_legacy", "protocol-4.pth", legacy(checkpoint, protocol=4))
# After the first three pickles, which end in the machine's.
put("pytorch_legacy", "after-the-header.pkl", legacy(state()).split(b"u.\x80\x02", 1)[1])

# Safetensors.
def safetensors(tensors, metadata=None):
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (form, shape, content) in tensors.items():
        header[name] = {"dtype": form, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


floats = {"a.weight": ("F32", [2, 3], struct.pack("<6f", *range(6))), "a.bias": ("F16", [2], struct.pack("<2e", 1, 2))}
put("safetensors", "floats.safetensors", safetensors(floats))
others = {"module.a": ("F64", [1, 2], struct.pack("<2d", 1, 2)), "steps": ("I64", [], bytes(8)), "b": ("BF16", [3], bytes(6))}
put("safetensors", "others.safetensors", safetensors(others))
ours = {"alexnet-burn": json.dumps({"network": "name = \"a\"", "classes": "[\"b\"]"}), "format": "pt"}
put("safetensors", "metadata.safetensors", safetensors(floats, ours))


# Caffe, in its layers' three forms.
def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(tag, content):
    if isinstance(content, int):
        return varint(tag << 3) + varint(content)
    content = content.encode() if isinstance(content, str) else content
    return varint(tag << 3 | 2) + varint(len(content)) + content


def blob(shape, values, packed=True, wide=False, old=False):
    if old:
        out = b"".join(field(at + 1, extent) for at, extent in enumerate([1] * (4 - len(shape)) + shape))
    else:
        out = field(7, field(1, b"".join(map(varint, shape))) if packed else b"".join(field(1, extent) for extent in shape))
    tag, form, wire = (8, "<d", 1) if wide else (5, "<f", 5)
    if packed:
        return out + field(tag, b"".join(struct.pack(form, value) for value in values))
    return out + b"".join(varint(tag << 3 | wire) + struct.pack(form, value) for value in values)


def net(layers):
    return field(1, "AlexNet") + b"".join(layers)


def today(name, kind, blobs):
    return field(100, field(1, name) + field(2, kind) + b"".join(field(7, each) for each in blobs))


def of_2014(name, kind, blobs):
    return field(2, field(4, name) + field(5, kind) + b"".join(field(6, each) for each in blobs))


def of_2013(name, kind, blobs):
    return field(2, field(1, field(1, name) + field(2, kind) + b"".join(field(50, each) for each in blobs)))


values = list(range(12))
for name, options in [("packed", {}), ("unpacked", {"packed": False}), ("double", {"wide": True})]:
    blobs = [blob([2, 3, 1, 2], values, **options), blob([2], values[:2], **options)]
    put("caffemodel", f"{name}.caffemodel", net([today("norm1", "LRN", []), today("conv1", "Convolution", blobs)]))
old = [blob([2, 3, 1, 2], values, old=True), blob([2], values[:2], old=True)]
put("caffemodel", "2014.caffemodel", net([of_2014("pool1", 17, []), of_2014("conv1", 4, old)]))
put("caffemodel", "2013.caffemodel", net([of_2013("norm1", "lrn", []), of_2013("conv1", "conv", old)]))
put("caffemodel", "mean.binaryproto", blob([3, 2, 2], values, old=True))


# Burnpack: a header, CBOR, then numbers at multiples of 256 bytes.
def cbor(value):
    def head(kind, number):
        if number < 24:
            return bytes([kind << 5 | number])
        size = next(size for size in range(4) if number < 1 << (8 << size))
        return bytes([kind << 5 | 24 + size]) + number.to_bytes(1 << size, "big")

    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(cbor(key) + cbor(each) for key, each in value.items())
    return b"\xf6"


def burnpack(tensors, **more):
    descriptors, data = {}, b""
    for name, (form, shape, content) in tensors.items():
        data += bytes(-len(data) % 256)
        offsets = [len(data), len(data) + len(content)]
        descriptors[name] = {"dtype": form, "shape": shape, "data_offsets": offsets, "param_id": None}
        data += content
    about = cbor({"tensors": descriptors, **more})
    return b"NRUB" + struct.pack("<HI", 1, len(about)) + about + bytes(-(10 + len(about)) % 256) + data


towers = {}
for tower in range(2):
    towers[f"network.conv.0.towers.{tower}.weight"] = ("F32", [2, 1, 1, 1], struct.pack("<2f", 1, 2))
    towers[f"network.conv.0.towers.{tower}.norm.gamma"] = ("F16", [2], struct.pack("<2e", 1, 2))
    towers[f"network.fc.0.towers.{tower}.weight"] = ("F64", [3, 2], struct.pack("<6d", *range(6)))
put("burnpack", "towers.bpk", burnpack(dict(sorted(towers.items()))))
one = {"conv.0.towers.0.bias": ("BF16", [2], bytes(4))}
put("burnpack", "metadata.bpk", burnpack(one, metadata={"a": "b"}, scalars={"steps": {"Int": 3}}))

# ONNX: messages of protobuf.
def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def onnx_tensor(name, shape, raw=True, form="f", kind=1):
    count = _product(shape)
    data = struct.pack(f"<{count}{form}", *range(count))
    dims = b"".join(field(1, extent) for extent in shape)
    return dims + field(2, kind) + field(9 if raw else 4, data) + field(8, name)


def onnx_node(operator, inputs, output, **attributes):
    made = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, operator)
    return made + b"".join(field(5, field(1, name) + field(3, value) + field(20, 2)) for name, value in attributes.items())


def onnx_model(nodes, tensors, producer="pytorch", metadata=()):
    graph = b"".join(field(1, node) for node in nodes) + field(2, "g") + b"".join(field(5, tensor) for tensor in tensors)
    props = b"".join(field(14, field(1, key) + field(2, value)) for key, value in metadata)
    return field(1, 8) + field(2, producer) + field(7, graph) + field(8, field(2, 17)) + props


GEMM = onnx_node("Gemm", ["f", "g", "gb"], "y", transB=1)
put("onnx", "gemm.onnx", onnx_model(
    [onnx_node("Conv", ["x", "k", "kb"], "c", group=1), onnx_node("Flatten", ["c"], "f"), GEMM],
    [onnx_tensor("k", [2, 1, 3, 3]), onnx_tensor("kb", [2], raw=False), onnx_tensor("g", [3, 2]), onnx_tensor("gb", [3])]))
put("onnx", "matmul.onnx", onnx_model(
    [onnx_node("MatMul", ["x", "m"], "mm"), onnx_node("Add", ["mm", "mb"], "y")],
    [onnx_tensor("m", [2, 3], form="e", kind=10), onnx_tensor("mb", [3], form="d", kind=11)]))
put("onnx", "caffe2.onnx", onnx_model(
    [onnx_node("Conv", ["data_0", "conv1_w_0", "conv1_b_0"], "conv1_1"), onnx_node("LRN", ["conv1_1"], "norm1_1", size=5)],
    [onnx_tensor("conv1_w_0", [2, 3, 1, 1]), onnx_tensor("conv1_b_0", [2])]))
put("onnx", "ours.onnx", onnx_model(
    [], [onnx_tensor("conv1.weight", [2, 1, 1, 1]), onnx_tensor("fc6.0.weight", [1, 2]), onnx_tensor("fc6.1.weight", [1, 2])],
    "alexnet-burn", [("entries", "2"), ("network", "name = 1")]))
