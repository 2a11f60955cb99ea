#!/usr/bin/env python3
"""The networks at full size on photographs, against torchvision and OpenCV's DNN module.

    python benches/peers/parity.py PROGRAM PHOTOGRAPHS [--count 14] [--work DIR]

PHOTOGRAPHS is a folder or tar with JPEGs. torchvision.models.alexnet and Caffe's two networks get random weights, which are
written in their own formats; PROGRAM predicts with them, and what comes out are the relative differences,
|ours - theirs| / |theirs|, of logits and of each layer: torchvision's from the JPEG files themselves; Caffe's, which OpenCV
does not prepare images for, over centre squares of 256 pixels that were kept as PNG. Versions: requirements.txt."""

import argparse
import io
import json
import pathlib
import struct
import subprocess
import sys
import tarfile
import tempfile

import cv2
import numpy
import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden"))
import caffe  # noqa: E402

FULL = {"conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256, "fc6": 4096, "fc7": 4096, "fc8": 1000}
CAFFE_MEAN = numpy.array([104.00699, 116.66877, 122.67891], numpy.float32).reshape(3, 1, 1)


def photographs(source, count):
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.is_file())[:count]
        return [path.read_bytes() for path in files]
    with tarfile.open(source) as tar:
        members = sorted((m for m in tar.getmembers() if m.isfile()), key=lambda m: m.name)[:count]
        return [tar.extractfile(m).read() for m in members]


def tensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    header.pop("__metadata__", None)
    return {
        name: numpy.frombuffer(body[slice(*about["data_offsets"])], "<f4").reshape(about["shape"])
        for name, about in header.items()
    }


def predict(program, weights, images, out, layer=None):
    more = ["--features", layer] if layer else []
    command = [program, "predict", str(weights), *map(str, images), "--logits", str(out), "--format", "json", *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return tensors(out)


def difference(ours, theirs):
    return float(numpy.linalg.norm(ours - theirs) / numpy.linalg.norm(theirs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("photographs", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=14)
    parser.add_argument("--work", type=pathlib.Path)
    args = parser.parse_args()
    work = args.work or pathlib.Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    images, paths, wholes, files = [], [], [], []
    for at, file in enumerate(photographs(args.photographs, args.count)):
        files.append(work / f"{at}.jpg")
        files[-1].write_bytes(file)
        wholes.append(Image.open(io.BytesIO(file)).convert("RGB"))
        square = v2.CenterCrop(256)(v2.Resize(256)(wholes[-1]))
        paths.append(work / f"{at}.png")
        square.save(paths[-1])
        images.append(numpy.asarray(square))
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, OpenCV {cv2.__version__}; {len(images)} photographs")

    torch.manual_seed(2012)
    model = torchvision.models.alexnet().eval()
    torch.save(model.state_dict(), work / "alexnet.pth")
    transform = torchvision.models.AlexNet_Weights.IMAGENET1K_V1.transforms()
    with torch.no_grad():
        batch = torch.stack([transform(image) for image in wholes])
        theirs = model(batch).numpy()
        features = model.features(batch).numpy()
    ours = predict(args.program, work / "alexnet.pth", files, work / "out.safetensors", "conv5")
    print(f"torchvision: logits {difference(ours['logits'], theirs):.1e}, conv5 {difference(ours['conv5'], features):.1e}")
    print(f"torchvision: same class first in {(ours['logits'].argmax(1) == theirs.argmax(1)).sum()} of {len(images)}")

    std = {"conv1": 0.01, "conv2": 0.03, "conv3": 0.03, "conv4": 0.03, "conv5": 0.03, "fc6": 0.01, "fc7": 0.02, "fc8": 0.02}
    made = caffe.weights(FULL, 2012, std)
    for name, old in [("AlexNet", True), ("CaffeNet", False)]:
        net, model = caffe.network(name, made, old, FULL)
        path = work / f"{name}.caffemodel"
        path.write_bytes(model)
        squares = numpy.stack([image.transpose(2, 0, 1)[::-1] for image in images]).astype(numpy.float32)
        crops = (squares - CAFFE_MEAN)[:, :, 14:241, 14:241]
        ends = caffe.ends(name)
        theirs = {layer: [] for layer in ends}
        for crop in crops:
            net.setInput(crop[None].copy())
            for layer, output in zip(ends, net.forward(list(ends.values()))):
                theirs[layer].append(output[0].copy())
        found = []
        for layer in ends:
            ours = predict(args.program, path, paths, work / "out.safetensors", None if layer == "logits" else layer)
            found.append(f"{layer} {difference(ours[layer], numpy.stack(theirs[layer])):.1e}")
        same = (ours["logits"].argmax(1) == numpy.stack(theirs["logits"]).argmax(1)).sum()
        print(f"{name}: {', '.join(found)}; same class first in {same} of {len(images)}")


if __name__ == "__main__":
    main()
