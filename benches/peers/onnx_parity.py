#!/usr/bin/env python3
"""ONNX out and in, on photographs, against ONNX Runtime and PyTorch.

    python benches/peers/onnx_parity.py PROGRAM PHOTOGRAPHS [--count 14] [--only NAME] [--work DIR]

PHOTOGRAPHS is a folder or tar with JPEGs. Out: every preset gets random weights, PROGRAM writes it as ONNX, onnx.checker checks
the file and ONNX Runtime runs it; what comes out are relative differences of the logits, |ours - theirs| / |theirs|, without and
with the preparation of images in the graph, and of PROGRAM itself with the weights read back. In: torchvision's alexnet as both of
PyTorch's exporters write it, and a model of the zoo's kind (bvlcalexnet: Caffe2's names, inputs of 224 pixels, a softmax at the
end) made here, against the runtimes' own logits. Versions: requirements.txt."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib

import numpy
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from parity import difference, photographs, tensors

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRESETS = ROOT / "crates" / "model" / "presets"
# The largest relative difference: f32 sums in another order.
LIMIT = 1e-5


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


def resolved(name):
    """A preset's layers and input, with those of the presets that it changes."""
    config = tomllib.loads((PRESETS / f"{name}.toml").read_text(encoding="utf-8"))
    if "base" not in config:
        return config
    base = resolved(config["base"])
    layers = base.get("conv", []) + [layer for added in config.get("after", {}).values() for layer in [added]]
    for path, value in config.get("set", {}).items():
        kind, *rest = path.split(".")
        for layer in layers:
            if kind == "conv" and len(rest) == 2 and layer["name"] == rest[0]:
                layer[rest[1]] = value
    return base | {"conv": layers}


def weights(program, name, rng):
    """Random tensors of a preset under our names, scaled so that activations keep their size."""
    described = run(program, "model", name, "--format", "json")
    layers = json.loads(described.stdout)["layers"]
    config = resolved(name)
    kernels = {layer["name"]: layer["kernel"] for layer in config.get("conv", [])}
    local = {layer["name"] for layer in config.get("conv", []) if not layer.get("shared", True)}
    made = {}
    for layer in layers:
        outputs, *sides = map(int, layer["output"].split(" × "))
        if layer["name"] in local:
            places, area = sides[0] ** 2, kernels[layer["name"]] ** 2
            inputs = layer["parameters"] // (outputs * places) - 1
            made[f"{layer['name']}.weight"] = numpy.zeros([outputs, inputs // area, area, places])
            made[f"{layer['name']}.bias"] = numpy.zeros([outputs * places])
            continue
        norm = "batch-norm" in layer["stages"]
        inputs = (layer["parameters"] - outputs * (3 if norm else 1)) // outputs
        kernel = kernels.get(layer["name"])
        shape = [outputs, inputs // kernel**2, kernel, kernel] if kernel else [outputs, inputs]
        made[f"{layer['name']}.weight"] = rng.normal(0, (2 / inputs) ** 0.5, shape)
        made[f"{layer['name']}.bias"] = rng.normal(0, 0.1, [outputs])
        if norm:
            for kind, value in {"gain": rng.uniform(0.5, 2, outputs), "shift": rng.normal(0, 0.1, outputs),
                                "running_mean": rng.normal(0, 1, outputs), "running_variance": rng.uniform(0.5, 2, outputs)}.items():
                made[f"{layer['name']}.{kind}"] = value
    return {key: value.astype(numpy.float32) for key, value in made.items()}, config["input"]


def write_safetensors(path, arrays):
    header, body = {}, b""
    for name, array in sorted(arrays.items()):
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(body), len(body) + array.nbytes]}
        body += array.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def logits(program, file, images, work, *more):
    out = work / "logits.safetensors"
    done = run(program, "predict", file, *images, "--logits", out, "--format", "json", *more)
    if done.returncode:
        sys.exit(f"{file}: {done.stderr}")
    return tensors(out)["logits"]


def by_runtime(file, inputs, output=0):
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return numpy.concatenate([session.run(None, {name: one[None]})[output] for one in inputs])


def squares(photos, size, channels, work):
    """Squares of this size as PNG and as pixels `[channels, size, size]`."""
    paths, pixels = [], []
    for at, photo in enumerate(photos):
        side = min(photo.size)
        left, top = ((extent - side) // 2 for extent in photo.size)
        image = photo.crop((left, top, left + side, top + side)).resize((size, size), Image.BILINEAR)
        image = image.convert("RGB" if channels == 3 else "L")
        paths.append(work / f"{size}-{channels}-{at}.png")
        image.save(paths[-1])
        pixels.append(numpy.asarray(image, numpy.float32).reshape(size, size, channels).transpose(2, 0, 1))
    return paths, numpy.stack(pixels)


def out(program, name, photos, work, rng):
    """Compares a preset's export. Returns the differences, or None if the program refuses it."""
    arrays, size = weights(program, name, rng)
    channels, size = size["channels"], size["size"]
    paths, pixels = squares(photos, size, channels, work)
    mean = [127.3, 119.7, 104.9][:channels]
    prepared = work / "preprocessing.json"
    prepared.write_text(json.dumps({"resize": {"shorter-side": size}, "crop": size, "mean": mean, "gain": [0.02] * channels}))
    file, graph, whole = work / "weights.safetensors", work / "network.onnx", work / "prepared.onnx"
    write_safetensors(file, arrays)
    origin = ["--preset", name, "--preprocessing", prepared]
    done = run(program, "weights", "export", file, *origin, "--out", graph)
    if done.returncode:
        print(f"{name}: refused: {done.stderr.strip().removeprefix('error: ')}")
        return None
    if failed := run(program, "weights", "export", file, *origin, "--out", whole, "--prepare").stderr:
        sys.exit(failed)
    for made in (graph, whole):
        onnx.checker.check_model(onnx.load(str(made)), full_check=True)
    ours = logits(program, file, paths, work, *origin)
    inputs = (pixels - numpy.array(mean, numpy.float32).reshape(-1, 1, 1)) * numpy.float32(0.02)
    again = logits(program, graph, paths, work)
    return {
        "logits": difference(ours, by_runtime(graph, inputs)),
        "with preparation": difference(ours, by_runtime(whole, pixels)),
        "read back": difference(again, ours),
    }


def torchvision_in(program, photos, work):
    """torchvision's alexnet by both exporters, read by PROGRAM."""
    import torchvision

    torch.manual_seed(2012)
    model = torchvision.models.alexnet().eval()
    paths, pixels = squares(photos, 224, 3, work)
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    batch = (torch.from_numpy(pixels) / 255 - mean) / std
    with torch.no_grad():
        theirs = model(batch).numpy()
    how = work / "torchvision.json"
    how.write_text(json.dumps({"resize": {"shorter-side": 224}, "crop": 224, "mean": (mean.flatten() * 255).tolist(),
                               "gain": (1 / (255 * std.flatten())).tolist()}))
    found = {}
    for dynamo in (False, True):
        file = work / f"torchvision-{dynamo}.onnx"
        torch.onnx.export(model, (batch[:1],), str(file), dynamo=dynamo, verbose=False)
        found["dynamo" if dynamo else "TorchScript"] = difference(logits(program, file, paths, work, "--preprocessing", how), theirs)
    return found


def zoo(rng):
    """A model as `bvlcalexnet-12.onnx` is, with random weights; its second output is what enters the softmax."""
    nodes, constants, shapes = [], [], {"conv1": (96, 3, 11), "conv2": (256, 48, 5), "conv3": (384, 256, 3), "conv4": (384, 192, 3),
                                        "conv5": (256, 192, 3), "fc6": (4096, 9216), "fc7": (4096, 4096), "fc8": (1000, 4096)}
    current = "data_0"

    def constant(name, array):
        constants.append(numpy_helper.from_array(array.astype(numpy.float32), name))
        return name

    def node(operator, name, inputs, **attributes):
        nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    for layer, shape in shapes.items():
        inputs = numpy.prod(shape[1:]) * (shape[2] if len(shape) == 3 else 1)
        extents = (*shape, shape[2]) if len(shape) == 3 else shape
        kernels = constant(f"{layer}_w_0", rng.normal(0, (2 / inputs) ** 0.5, extents))
        biases = constant(f"{layer}_b_0", rng.normal(0, 0.1, shape[0]))
        if layer.startswith("conv"):
            pad = {"conv1": 0, "conv2": 2}.get(layer, 1)
            current = node("Conv", f"{layer}_1", [current, kernels, biases], kernel_shape=[shape[2]] * 2, pads=[pad] * 4,
                           strides=[4 if layer == "conv1" else 1] * 2, group=2 if layer in ("conv2", "conv4", "conv5") else 1)
            current = node("Relu", f"{layer}_2", [current])
            if layer in ("conv1", "conv2"):
                current = node("LRN", f"norm{layer[-1]}_1", [current], size=5, alpha=1e-4, beta=0.75, bias=1.0)
            if layer in ("conv1", "conv2", "conv5"):
                current = node("MaxPool", f"pool{layer[-1]}_1", [current], kernel_shape=[3, 3], strides=[2, 2],
                               pads=[0, 0, 1, 1] if layer == "conv1" else [0, 0, 0, 0])
        else:
            if layer == "fc6":
                current = node("Flatten", "OC2_DUMMY_0", [current])
            current = node("Gemm", f"{layer}_1", [current, kernels, biases], transB=1)
            if layer != "fc8":
                current = node("Relu", f"{layer}_2", [current])
    node("Softmax", "prob_1", [current], axis=1)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "bvlc_alexnet", [value("data_0", TensorProto.FLOAT, [1, 3, 224, 224])],
                              [value("prob_1", TensorProto.FLOAT, [1, 1000]), value("fc8_1", TensorProto.FLOAT, [1, 1000])], constants)
    return helper.make_model(graph, producer_name="onnx-caffe2", opset_imports=[helper.make_opsetid("", 12)], ir_version=6)


def zoo_in(program, photos, work, rng):
    file = work / "bvlcalexnet.onnx"
    file.write_bytes(zoo(rng).SerializeToString())
    paths, pixels = squares(photos, 224, 3, work)
    mean = [122.7, 116.7, 104.0]
    how = work / "caffe.json"
    how.write_text(json.dumps({"resize": {"shorter-side": 224}, "crop": 224, "mean": mean, "gain": [1.0] * 3}))
    inputs = (pixels - numpy.array(mean, numpy.float32).reshape(3, 1, 1))[:, ::-1]
    ours = logits(program, file, paths, work, "--preprocessing", how)
    return {"logits": difference(ours, by_runtime(file, numpy.ascontiguousarray(inputs), 1))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("photographs", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=14)
    parser.add_argument("--only", help="a preset, `torchvision-in` or `zoo-in`")
    parser.add_argument("--work", type=pathlib.Path)
    args = parser.parse_args()
    import io

    work = args.work or pathlib.Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    photos = [Image.open(io.BytesIO(file)).convert("RGB") for file in photographs(args.photographs, args.count)]
    print(f"onnx {onnx.__version__}, ONNX Runtime {onnxruntime.__version__}, torch {torch.__version__}; {len(photos)} photographs")
    rng = numpy.random.default_rng(2012)
    rows = {path.stem: lambda name=path.stem: out(args.program, name, photos, work, rng) for path in sorted(PRESETS.glob("*.toml"))}
    rows["torchvision-in"] = lambda: torchvision_in(args.program, photos, work)
    rows["zoo-in"] = lambda: zoo_in(args.program, photos, work, rng)
    worst = 0.0
    for name, row in rows.items():
        if args.only in (None, name) and (found := row()) is not None:
            print(f"{name}: " + ", ".join(f"{what} {value:.1e}" for what, value in found.items()), flush=True)
            worst = max(worst, *found.values())
    if not worst <= LIMIT:
        sys.exit(f"a difference of {worst:.1e} is above {LIMIT:.0e}")


if __name__ == "__main__":
    main()
