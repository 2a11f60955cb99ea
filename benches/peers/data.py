#!/usr/bin/env python3
"""Preparing photographs and feeding them, beside Pillow and PyTorch, by turns on the same files.

    python benches/peers/data.py PROGRAM PHOTOGRAPHS [--work DIR] [--rounds 3]

PHOTOGRAPHS is a folder of class folders with full-size JPEGs. Each peer and this project prepare all of them with two
processes or threads (decode, shorter side to 256, centre 256 x 256, JPEG of quality 95), then feed the prepared ones
with two workers (random 224 crop, mirror image, mean subtracted, float batches of 128). What comes out are images a
second, the median of the rounds, and ratios. Versions: requirements.txt."""

import argparse
import io
import json
import multiprocessing
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import sys
import time

import numpy
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg, read_file
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

PROCESSES = 2
SECONDS = 5


def one_thread():
    torch.set_num_threads(1)


def prepare_with_pillow(job):
    source, target = job
    image = Image.open(source).convert("RGB")
    image = functional.center_crop(functional.resize(image, 256, antialias=True), 256)
    image.save(target, quality=95)


def prepare_with_torchvision(job):
    source, target = job
    image = decode_jpeg(read_file(source), mode=ImageReadMode.RGB)
    image = functional.center_crop(functional.resize(image, 256, antialias=True), 256)
    torchvision.io.write_file(target, encode_jpeg(image, 95))


def peer_prepares(function, photographs, out):
    """Images a second. Starting the processes is not counted."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    jobs = [(str(path), str(out / f"{at}.jpg")) for at, path in enumerate(photographs)]
    with multiprocessing.Pool(PROCESSES, one_thread) as pool:
        pool.map(function, jobs[:16])
        begun = time.perf_counter()
        for _ in pool.imap_unordered(function, jobs, 16):
            pass
        return len(jobs) / (time.perf_counter() - begun)


def we_prepare(program, source, out, count, *options):
    """Images a second, starting the program and listing the files included."""
    shutil.rmtree(out, ignore_errors=True)
    begun = time.perf_counter()
    command = [program, "data", "prepare", str(source), "--out", str(out), "--jobs", str(PROCESSES), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return count / (time.perf_counter() - begun)


class Shards(torch.utils.data.Dataset):
    """The JPEGs of a prepared folder, read where they lie, as we do."""

    def __init__(self, folder, decoder):
        self.rows, self.files, self.decoder = [], {}, decoder
        for index in sorted(folder.glob("train-*.tsv")):
            for line in index.read_text().splitlines()[1:]:
                _, offset, length, label, _ = line.split("\t")
                self.rows.append((str(index.with_suffix(".tar")), int(offset), int(length), int(label)))
        self.mean = torch.tensor([123.0, 117.0, 104.0]).reshape(3, 1, 1)
        self.view = v2.Compose([v2.RandomCrop(224), v2.RandomHorizontalFlip(0.5)])

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, at):
        path, offset, length, label = self.rows[at]
        if path not in self.files:
            self.files[path] = os.open(path, os.O_RDONLY)
        data = os.pread(self.files[path], length, offset)
        if self.decoder == "pillow":
            image = self.view(Image.open(io.BytesIO(data)).convert("RGB"))
            image = torch.from_numpy(numpy.array(image)).permute(2, 0, 1)
        else:
            data = torch.frombuffer(bytearray(data), dtype=torch.uint8)
            image = self.view(decode_jpeg(data, mode=ImageReadMode.RGB))
        return image.float().sub_(self.mean), label


def peer_feeds(folder, decoder):
    """Images a second of a DataLoader with two workers, after an epoch that is not counted."""
    loader = torch.utils.data.DataLoader(
        Shards(folder, decoder),
        batch_size=128,
        shuffle=True,
        num_workers=PROCESSES,
        persistent_workers=True,
        worker_init_fn=lambda _: one_thread(),
    )
    for _ in loader:
        pass
    begun, images = time.perf_counter(), 0
    while time.perf_counter() - begun < SECONDS:
        for batch, _ in loader:
            images += len(batch)
    return images / (time.perf_counter() - begun)


def we_feed(program, folder, *options):
    command = [program, "bench", "data", str(folder), "--workers", str(PROCESSES), "--format", "json", *options]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out)["images_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("photographs", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="rows whose names begin so")
    args = parser.parse_args()
    # Not here by default: photographs must not end up in a repository.
    args.work = args.work or pathlib.Path(tempfile.mkdtemp())
    photographs = sorted(path for path in args.photographs.rglob("*") if path.is_file())
    ours, raw = args.work / "jpeg", args.work / "raw"
    count = len(photographs)
    we_prepare(args.program, args.photographs, raw, count, "--encoding", "raw")
    we_prepare(args.program, args.photographs, ours, count)
    for folder in (ours, raw):
        subprocess.run([args.program, "data", "stats", str(folder)], check=True, stdout=subprocess.DEVNULL)
    rows = {
        "prepare, Pillow": lambda: peer_prepares(prepare_with_pillow, photographs, args.work / "pillow"),
        "prepare, torchvision": lambda: peer_prepares(prepare_with_torchvision, photographs, args.work / "tv"),
        "prepare, ours": lambda: we_prepare(args.program, args.photographs, args.work / "again", count),
        "feed, torch + Pillow": lambda: peer_feeds(ours, "pillow"),
        "feed, torch + torchvision": lambda: peer_feeds(ours, "torchvision"),
        "feed, ours": lambda: we_feed(args.program, ours),
        "feed, ours, colour noise": lambda: we_feed(args.program, ours, "--view", "train-colour"),
        "feed, ours, bytes": lambda: we_feed(args.program, ours, "--upload", "bytes"),
        "feed, decode alone, ours": lambda: we_feed(args.program, ours, "--view", "decode"),
        "feed, ours, raw, bytes": lambda: we_feed(args.program, raw, "--upload", "bytes"),
        "feed, ours, raw, floats": lambda: we_feed(args.program, raw),
    }
    rows = {name: run for name, run in rows.items() if name.startswith(args.only)}
    found = {name: [] for name in rows}
    for turn in range(args.rounds):
        for name, run in rows.items():
            found[name].append(run())
            print(f"round {turn + 1}: {name:27} {found[name][-1]:9.0f} images/s", flush=True)
    median = {name: statistics.median(values) for name, values in found.items()}
    # How fast memory is copied here: what floats are limited by.
    block = numpy.ones(1 << 26, dtype=numpy.uint8)
    other = numpy.empty_like(block)
    rates = []
    for _ in range(8):
        begun = time.perf_counter()
        numpy.copyto(other, block)
        rates.append(block.nbytes / (time.perf_counter() - begun))
    copy = statistics.median(rates)
    print(f"\ntorch {torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__},", end=" ")
    print(f"Python {sys.version.split()[0]}; {count} photographs, {args.rounds} rounds by turns, medians\n")
    for name, value in median.items():
        print(f"{name:27} {value:9.0f} images/s  ({min(found[name]):.0f} to {max(found[name]):.0f})")

    def ratio(name, of):
        return statistics.median(a / b for a, b in zip(found[name], found[of]))

    print()
    if "prepare, ours" in rows:
        print(f"prepare: {ratio('prepare, ours', 'prepare, Pillow'):.2f} x Pillow,", end=" ")
        print(f"{ratio('prepare, ours', 'prepare, torchvision'):.2f} x torchvision")
    if "feed, ours" in rows:
        better = max(["feed, torch + Pillow", "feed, torch + torchvision"], key=lambda name: median[name])
        print(f"feed: {ratio('feed, ours', better):.2f} x the better loader")
        raw_bytes = ratio("feed, ours, raw, bytes", better)
        print(f"feed from raw shards as bytes: {raw_bytes:.1f} x the better loader on JPEGs")
        rate = median["feed, ours, raw, floats"] * 224 * 224 * 3 * 4
        print(f"feed from raw shards as floats: {rate / 1e9:.1f} GB/s; one core copies {copy / 1e9:.1f} GB/s")
    if "feed, ours" in rows and "feed, decode alone, ours" in rows:
        print(f"feed: {100 * ratio('feed, ours', 'feed, decode alone, ours'):.0f} % of the bare decoder's rate")


if __name__ == "__main__":
    main()
