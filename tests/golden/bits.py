#!/usr/bin/env python3
"""Fails where the bits of short trainings move and RESULTS (crates/train/src/provenance.rs) is not raised.

    tests/golden/bits.py target/debug/experiments             # compare with bits.json
    tests/golden/bits.py target/debug/experiments --update    # write it, after RESULTS was raised

The project's kernels train at every vector level that the machine has, forced by ALEXNET_BURN_SIMD. All levels with fused
multiply-add must give the same bits, and so must any machine; `narrow-nofma` has bits of its own.

The composed form (`--ops composed`) uses Burn's operations, whose bits depend on the vector level and whose products come from the
gemm crate. It runs under valgrind, which emulates one processor, with AVX2 and without AVX-512. The gemm crate reads cache sizes
from the system all the same; they change the order of a sum only where it has more than 512 terms, and no product here has: layers
have at most 256 inputs, and Burn's convolutions sum a weight's gradient over 144 places of the three images of a batch. What is
left is the C library, whose `expf` and the like may differ in the last bit between its versions, and the compiler.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "bits.json"
PROCESSOR = "x86_64-avx2"
VALGRIND = ["valgrind", "-q", "--tool=none"]
LEVELS = ["avx512", "avx2", "narrow", "narrow-nofma"]


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).hexdigest()


def grey(folder):
    """Images of 28 pixels in ten classes, as IDX files."""
    folder.mkdir()
    for prefix, count in (("train", 80), ("t10k", 20)):
        pixels = bytes((at * (1 + index % 10) + index * 7) % 251 for index in range(count) for at in range(784))
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, count, 28, 28) + pixels)
        labels = bytes(index % 10 for index in range(count))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, count) + labels)


def png(path, width, height, pixels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + pixels[3 * width * row : 3 * width * (row + 1)] for row in range(height))
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def photographs(folder):
    """Colour gradients with noise in two classes, in several shapes, as PNG files."""
    draws = random.Random(2012)
    for split, count in (("train", 30), ("test", 8)):
        for label, tint in (("cold", (0, 1, 3)), ("warm", (3, 1, 0))):
            (folder / split / label).mkdir(parents=True)
            for index in range(count):
                width, height = draws.choice([(48, 40), (40, 56), (64, 64), (33, 90)])
                pixels = bytearray()
                for y in range(height):
                    for x in range(width):
                        for channel in tint:
                            level = 60 + channel * 30 + (x * 90 // width) + (y * 40 // height)
                            pixels.append(max(0, min(255, level + draws.randrange(-30, 30))))
                png(folder / split / label / f"{index}.png", width, height, bytes(pixels))


def manifest(path, **values):
    lines = {"about": "made", "origin": "made", "licence": "none"} | values
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items()))
    return path


class Bits:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.results = None

    def run(self, *words, level=None):
        """Runs the program at a level, or under valgrind."""
        command = [*([] if level else VALGRIND), str(self.program), *map(str, words)]
        environment = os.environ | ({"ALEXNET_BURN_SIMD": level} if level else {})
        done = subprocess.run(command, cwd=self.folder, env=environment, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")

    def levels(self):
        """The levels of this machine."""
        for level in LEVELS:
            environment = os.environ | {"ALEXNET_BURN_SIMD": level}
            done = subprocess.run([str(self.program), "list"], env=environment, check=False, capture_output=True, text=True)
            if done.returncode == 0:
                yield level
            elif "does not have" not in done.stderr:
                sys.exit(done.stderr)

    def scale(self, data_set, network):
        mini = (ROOT / "experiments" / "scales" / "mini.toml").read_text()
        path = self.folder / f"{data_set.stem}-scale.toml"
        mini = mini.replace('"fashion-mnist-mini"', json.dumps(str(data_set)))
        path.write_text(mini.replace('network = "mini"', f"network = {json.dumps(str(network))}"))
        return path

    def others(self):
        """A network of what `mini` lacks: tanh, normalization within maps and over the batch, average pooling, a local layer."""
        mini = (ROOT / "crates" / "model" / "presets" / "mini.toml").read_text()
        changes = [
            ('activation = "relu"', 'activation = "tanh"'),
            ("{ lrn = { size = 5", "{ spatial-lrn = { size = 5"),
            ('stages = ["activation"]', 'stages = [{ batch-norm = { epsilon = 1e-5, momentum = 0.1 } }, "activation"]'),
            ('name = "conv4"', 'name = "conv4"\nshared = false'),
            ('"activation",\n    { max-pool', '"activation",\n    { avg-pool'),
        ]
        for old, new in changes:
            assert old in mini, old
            mini = mini.replace(old, new, 1)
        path = self.folder / "others.toml"
        path.write_text(mini)
        return path

    def at_every_level(self, name, data_set, data, *words, network="mini"):
        """The bits of all levels with fused multiply-add, which must agree, and of the one without."""
        found = {level: self.train(name, data_set, data, *words, level=level, network=network) for level in self.levels()}
        separate = found.pop("narrow-nofma")
        if any(bits != found["narrow"] for bits in found.values()):
            sys.exit(f"{name}: the levels differ: {json.dumps(found, indent=1)}")
        print(f"{name}: {', '.join(found)} agree", flush=True)
        return {"fused": found["narrow"], "separate": separate}

    def train(self, name, data_set, data, *words, batch=8, level=None, network="mini"):
        out = self.folder / f"{name}-{level or 'valgrind'}"
        self.run("train", self.scale(data_set, network), "--data", data, "--epochs", 2, "--out", out,
                 "--set", f"recipe.batch_size={batch}", "--set", "recipe.learning_rate=0.002", *words, level=level)  # fmt: skip
        (run,) = [path for path in out.iterdir() if (path / "run.json").is_file()]
        (session,) = json.loads((run / "run.json").read_text())["sessions"]
        if level is None and session["processor"] != PROCESSOR:
            sys.exit(f"valgrind emulates {session['processor']} here and bits.json is of {PROCESSOR}: use a machine with AVX2")
        self.results = session["results"]
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        rows = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
        print(f"{name}: " + ", ".join(f"{row['split']} {row['loss']:.4f}" for row in rows), flush=True)
        return {"metrics": sha256(json.dumps(rows, sort_keys=True).encode()), "weights": sha256((run / "weights.bpk").read_bytes())}

    def all(self):
        found = {}
        grey(self.folder / "grey")
        idx = manifest(self.folder / "idx.toml", name="idx", layout="idx", classes=[str(digit) for digit in range(10)], channels=1, size=28)
        found["kernels"] = self.at_every_level("kernels", idx, self.folder / "grey", "--set", "data.augmentation.flip=0.5")
        found["composed"] = self.train("composed", idx, self.folder / "grey", "--ops", "composed", batch=3)
        photographs(self.folder / "photographs")
        prepared = self.folder / "prepared"
        self.run("data", "prepare", self.folder / "photographs", "--out", prepared, "--size", 32, "--jobs", 1)
        shards = sorted(prepared.rglob("*.tar"))
        assert shards, "nothing was prepared"
        photos = manifest(self.folder / "photos.toml", name="photos", layout="folders", classes=[], channels=3, size=32)
        found["photographs"] = {"shards": sha256(*(shard.read_bytes() for shard in shards))} | self.at_every_level(
            "photographs", photos, prepared, "--set", "network.input.channels=3", "--set", "network.classes=2",
            "--set", "network.fc.fc8.units=2", "--set", "data.augmentation.crop.padding=0",
            "--set", "data.augmentation.flip=0.5", "--set", "data.augmentation.colour.std=0.1",
            "--set", 'evaluation.views="ten"',
        )  # fmt: skip
        found["others"] = self.at_every_level("others", idx, self.folder / "grey", network=self.others())
        # Layers wide enough for Winograd's convolutions, with 3×3 and with 5×5 kernels, and for filtered weight gradients.
        for name, network, last, wide in (
            ("winograd-3", "cifar10", "fc8", []),
            ("winograd-5", "cifar10-18pct", "fc10", []),
            ("winograd-rows", "cifar10", "fc8", ["--set", "network.conv.conv3.filters=256"]),
        ):
            found[name] = self.at_every_level(
                name, photos, prepared, "--set", "network.classes=2", "--set", f"network.fc.{last}.units=2",
                "--set", "data.augmentation.crop.padding=0", *wide, network=network,
            )  # fmt: skip
        return {"results": self.results} | found


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("program", type=lambda text: pathlib.Path(text).resolve())
    arguments.add_argument("--update", action="store_true", help="write bits.json")
    arguments = arguments.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        found = Bits(arguments.program, folder).all()
    finally:
        shutil.rmtree(folder)
    before = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else None
    moved = before is None or any(found[key] != before.get(key) for key in found if key != "results")
    raised = before is None or found["results"] > before["results"]
    if arguments.update:
        if moved and not raised:
            print(f"note: bits moved and RESULTS is still {found['results']}; do so only if no run was published with it")
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
        print(f"wrote {GOLDEN.relative_to(ROOT)}")
    elif moved and not raised:
        changed = ", ".join(key for key in found if key != "results" and found[key] != before.get(key))
        sys.exit(
            f"bits of short trainings moved ({changed}) and RESULTS is still {found['results']}. If that is meant, raise RESULTS in "
            "crates/train/src/provenance.rs, say why in CHANGELOG.md, and run tests/golden/bits.py with --update; if not, a "
            "kernel, the pixels or a draw has changed by mistake."
        )
    elif found != before:
        sys.exit(f"RESULTS is {found['results']}, and bits.json is of {before['results']}: run tests/golden/bits.py with --update")
    else:
        print(f"the bits of results {found['results']}")


main()
