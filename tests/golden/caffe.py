#!/usr/bin/env python3
"""Makes the golden values of Caffe's two networks, by OpenCV's DNN module 4.14.0, which reads their files itself.

    pip install opencv-python-headless==4.14.0.94 numpy
    python3 tests/golden/caffe.py

caffe-alexnet.caffemodel (layers in the form of 2014, as the published models are) and caffenet.caffemodel (today's form):
the two networks with few kernels and random weights. The .safetensors beside them: what OpenCV makes of an image that
the test makes too, layer by layer."""
import json
import pathlib
import struct

import cv2
import numpy

HERE = pathlib.Path(__file__).parent
WIDTHS = {"conv1": 8, "conv2": 8, "conv3": 8, "conv4": 8, "conv5": 8, "fc6": 16, "fc7": 16, "fc8": 6}
CONV = {"conv1": (11, 4, 0, 1), "conv2": (5, 1, 2, 2), "conv3": (3, 1, 1, 1), "conv4": (3, 1, 1, 2), "conv5": (3, 1, 1, 2)}
STD = {"conv1": 0.02, "conv2": 0.1, "conv3": 0.1, "conv4": 0.15, "conv5": 0.15, "fc6": 0.1, "fc7": 0.3, "fc8": 0.3}


def weights(widths=WIDTHS, seed=2012, std=STD):
    """Layer: weight and bias, as Caffe shapes them."""
    draw = numpy.random.RandomState(seed)
    made, inputs = {}, 3
    for name, units in widths.items():
        if name in CONV:
            kernel, _, _, groups = CONV[name]
            shape = (units, inputs // groups, kernel, kernel)
            inputs = units
        else:
            shape = (units, inputs * 36 if name == "fc6" else inputs)
            inputs = units
        weight = (draw.randn(*shape) * std[name]).astype(numpy.float32)
        made[name] = (weight, (draw.randn(units) * 0.1 + 0.1).astype(numpy.float32))
    return made


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(tag, payload):
    return varint(tag << 3 | 2) + varint(len(payload)) + payload


def blob(array, old):
    data = field(5, array.astype("<f4").tobytes())
    if old:
        extents = (1,) * (4 - array.ndim) + array.shape
        return b"".join(varint(tag << 3) + varint(n) for tag, n in zip((1, 2, 3, 4), extents)) + data
    return field(7, field(1, b"".join(varint(n) for n in array.shape))) + data


def caffemodel(name, made, old):
    out = field(1, name.encode())
    for layer, arrays in made.items():
        if old:
            # V1LayerParameter: 4 = CONVOLUTION, 14 = INNER_PRODUCT.
            kind = varint(5 << 3) + varint(4 if layer in CONV else 14)
            body = field(4, layer.encode()) + kind + b"".join(field(6, blob(a, old)) for a in arrays)
            out += field(2, body)
        else:
            kind = field(2, b"Convolution" if layer in CONV else b"InnerProduct")
            body = field(1, layer.encode()) + kind + b"".join(field(7, blob(a, old)) for a in arrays)
            out += field(100, body)
    return out


def prototxt(name, widths=WIDTHS):
    """As in models/bvlc_alexnet and models/bvlc_reference_caffenet; which order LRN and pooling have is the difference."""
    text = [f'name: "{name}"', 'input: "data"', "input_dim: 1", "input_dim: 3", "input_dim: 227", "input_dim: 227"]
    bottom = "data"

    def layer(called, kind, parameters):
        nonlocal bottom
        in_place = kind in ("ReLU", "Dropout")
        top = bottom if in_place else called
        text.append(f'layer {{ name: "{called}" type: "{kind}" bottom: "{bottom}" top: "{top}" {parameters} }}')
        bottom = top

    for called, units in widths.items():
        number = called[-1]
        if called in CONV:
            kernel, stride, pad, groups = CONV[called]
            layer(called, "Convolution", f"convolution_param {{ num_output: {units} kernel_size: {kernel} stride: {stride} pad: {pad} group: {groups} }}")
            layer(f"relu{number}", "ReLU", "")
            lrn = (f"norm{number}", "LRN", "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")
            pool = (f"pool{number}", "Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }")
            after = {"conv1": [lrn, pool], "conv2": [lrn, pool], "conv5": [pool]}.get(called, [])
            for one in after if name == "AlexNet" else reversed(after):
                layer(*one)
        else:
            layer(called, "InnerProduct", f"inner_product_param {{ num_output: {units} }}")
            if called != "fc8":
                layer(f"relu{number}", "ReLU", "")
                layer(f"drop{number}", "Dropout", "dropout_param { dropout_ratio: 0.5 }")
    return "\n".join(text) + "\n"


def ends(name):
    """The last layer of each of our layers, by OpenCV's names."""
    last = "pool" if name == "AlexNet" else "norm"
    return {"conv1": f"{last}1", "conv2": f"{last}2", "conv3": "relu3", "conv4": "relu4", "conv5": "pool5", "fc6": "relu6", "fc7": "relu7", "logits": "fc8"}


def image():
    """[256, 256, 3], red, green, blue: what the test makes too."""
    y, x, c = numpy.meshgrid(numpy.arange(256), numpy.arange(256), numpy.arange(3), indexing="ij")
    return (x * 3 + y * 5 + c * 70 + x * y // 64) % 256


def mean():
    """[3, 256, 256], blue, green, red, as in a mean.binaryproto."""
    c, y, _ = numpy.meshgrid(numpy.arange(3), numpy.arange(256), numpy.arange(256), indexing="ij")
    return (100 + 10 * c + y % 7).astype(numpy.float32)


def network(name, made, old, widths=WIDTHS):
    text, model = prototxt(name, widths).encode(), caffemodel(name, made, old)
    return cv2.dnn.readNetFromCaffe(numpy.frombuffer(text, numpy.uint8), numpy.frombuffer(model, numpy.uint8)), model


def safetensors(tensors):
    header, data = {}, b""
    for name, array in tensors.items():
        array = numpy.ascontiguousarray(array, "<f4")
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def main():
    assert cv2.__version__ == "4.14.0", cv2.__version__
    for name, file, old in [("AlexNet", "caffe-alexnet", True), ("CaffeNet", "caffenet", False)]:
        net, model = network(name, weights(), old)
        crop = (image().transpose(2, 0, 1)[::-1].astype(numpy.float32) - mean())[:, 14:241, 14:241]
        net.setInput(crop[None].copy())
        names = ends(name)
        outputs = dict(zip(names, net.forward(list(names.values()))))
        (HERE / f"{file}.caffemodel").write_bytes(model)
        (HERE / f"{file}.safetensors").write_bytes(safetensors(outputs))
        print(file, {layer: [list(output.shape), float(numpy.abs(output).mean())] for layer, output in outputs.items()})


if __name__ == "__main__":
    main()
