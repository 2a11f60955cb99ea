#!/usr/bin/env python3
"""Makes datasets/fashion-mnist-mini from the original files of Fashion-MNIST.

    apt-get install dataset-fashion-mnist
    python3 datasets/make-fashion-mnist-mini.py /usr/share/datasets/fashion-mnist

Training images: the first 1,000 of each class, in their original order. Test images: all 10,000.
"""
import gzip
import pathlib
import struct
import sys

PER_CLASS, PIXELS = 1000, 28 * 28


def read(path):
    with gzip.open(path) as file:
        return file.read()


def write(path, data):
    # No name and no time in the header, so that the same input makes the same bytes.
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(data)


def main():
    source, target = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent / "fashion-mnist-mini"
    target.mkdir(exist_ok=True)
    images, labels = read(source / "train-images-idx3-ubyte.gz")[16:], read(source / "train-labels-idx1-ubyte.gz")[8:]
    taken, seen = [], [0] * 10
    for index, label in enumerate(labels):
        if seen[label] < PER_CLASS:
            seen[label] += 1
            taken.append(index)
    pixels = b"".join(images[i * PIXELS:(i + 1) * PIXELS] for i in taken)
    write(target / "train-images-idx3-ubyte.gz", struct.pack(">4I", 0x803, len(taken), 28, 28) + pixels)
    write(target / "train-labels-idx1-ubyte.gz", struct.pack(">2I", 0x801, len(taken)) + bytes(labels[i] for i in taken))
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        write(target / name, read(source / name))


main()
