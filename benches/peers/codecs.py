#!/usr/bin/env python3
"""How near our JPEG codecs are to libjpeg's, in levels of 0 to 255.

    python benches/peers/codecs.py PROGRAM PHOTOGRAPHS [--work DIR]

PHOTOGRAPHS is what `data prepare` reads. They are prepared at 256 pixels, raw and as JPEG of quality 95. Written: the
distance of the JPEGs to the raw pixels, and their bytes, beside those of Pillow's encoder. Read: the pixels that we
decode from these JPEGs beside torchvision's. Versions: requirements.txt."""

import argparse
import io
import pathlib
import shutil
import subprocess
import tempfile
import tarfile

import numpy
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg


def prepared(program, source, out, *options):
    shutil.rmtree(out, ignore_errors=True)
    command = [program, "data", "prepare", str(source), "--out", str(out), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for shard in sorted(out.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                if not member.name.endswith(".cls"):
                    yield member.name, tar.extractfile(member).read()


def root_mean_square(a, b):
    return float(numpy.sqrt(((a.astype(float) - b.astype(float)) ** 2).mean()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("photographs", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path)
    args = parser.parse_args()
    # Not here by default: photographs must not end up in a repository.
    args.work = args.work or pathlib.Path(tempfile.mkdtemp())
    raw = [numpy.load(io.BytesIO(data)) for _, data in
           prepared(args.program, args.photographs, args.work / "raw", "--encoding", "raw")]
    files = list(prepared(args.program, args.photographs, args.work / "jpeg"))
    # The JPEGs as class folders again: of the same size, they are only decoded.
    folder = args.work / "files" / "all"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for at, (_, data) in enumerate(files):
        (folder / f"{at:06}.jpg").write_bytes(data)
    decoded = [numpy.load(io.BytesIO(data)) for _, data in
               prepared(args.program, folder.parent, args.work / "decoded", "--encoding", "raw")]
    ours, theirs, sizes, differences = [], [], [0, 0], []
    for pixels, (_, data), read in zip(raw, files, decoded, strict=True):
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=95)
        sizes[0] += len(data)
        sizes[1] += len(out.getvalue())
        ours.append(root_mean_square(numpy.asarray(Image.open(io.BytesIO(data))), pixels))
        theirs.append(root_mean_square(numpy.asarray(Image.open(out)), pixels))
        peer = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB)
        differences.append(numpy.abs(peer.permute(1, 2, 0).numpy().astype(int) - read.astype(int)))
    print(f"{len(raw)} photographs")
    print(f"written: {numpy.mean(ours):.3f} levels from the pixels (root mean square), Pillow's {numpy.mean(theirs):.3f};", end=" ")
    print(f"{100 * (sizes[0] / sizes[1] - 1):+.1f} % of bytes")
    mean = numpy.mean([difference.mean() for difference in differences])
    print(f"read: {mean:.3f} levels from torchvision's pixels on average, {max(d.max() for d in differences)} at most")


if __name__ == "__main__":
    main()
