#!/usr/bin/env python3
"""Makes the weights of this folder and the curves of `experiments figures`: every file here but README.md and dropout.toml.

    experiments/weights/make.py target/debug/experiments cifar10-images.tar RUNS [mini kernels dropout activation cifar10 ...]

RUNS is a folder for the runs; finished ones are used again. Without names, everything is made, which takes hours: cifar10-18pct has
140 epochs, and the figure of the activations is made from the runs of experiments/pilots/figure-1.toml.
"""

import hashlib
import json
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
WEIGHTS = {"mini": None, "cifar10": "cifar10", "cifar10-18pct": "cifar10"}
EPOCHS = [1, 2, 4, 8]


def main():
    program, images, runs = (Path(word).resolve() for word in sys.argv[1:4])
    runs.mkdir(parents=True, exist_ok=True)
    made = {name: lambda name=name: weights(program, images, runs, name) for name in WEIGHTS}
    made["kernels"] = lambda: kernels(program, runs)
    made["dropout"] = lambda: dropout(program, runs)
    made["activation"] = lambda: activation(program, images, runs)
    for name in sys.argv[4:] or made:
        made[name]()


def call(program, *words):
    print("+ experiments", *map(str, words), flush=True)
    return subprocess.run([program, *map(str, words)], check=True, capture_output=True, text=True).stdout


def read(path):
    return json.loads(path.read_text())


def update(name, key, value):
    """Sets an entry of a JSON file of this folder."""
    path = FOLDER / name
    entries = read(path) if path.is_file() else {}
    entries[key] = value
    path.write_text(json.dumps(dict(sorted(entries.items())), indent=1, ensure_ascii=False) + "\n")


def weights(program, images, runs, name):
    """Trains a scale with seed 0 and exports its weights as 16-bit numbers."""
    data = ["--data", images] if WEIGHTS[name] else []
    call(program, "train", name, "--plain", "--out", runs / name, *data)
    [run] = [folder for folder in (runs / name).iterdir() if (folder / "result.json").is_file()]
    file = FOLDER / f"{name}.safetensors"
    call(program, "weights", "export", run, "--half", "--out", file)
    result, about = read(run / "result.json"), read(run / "run.json")
    rounded = json.loads(call(program, "evaluate", file, "--format", "json", *data))
    [test] = result["tests"]
    entry = {
        "scale": name,
        "data": about["data"],
        "checksum": about["checksum"],
        "seed": about["seed"],
        "run": about["identity"],
        "parameters": result["parameters"],
        "epochs": result["epochs"],
        "test_images": test["images"],
        "test_error": 100 * test["top1_error"],
        "test_error_of_the_file": 100 * rounded["test"]["top1_error"],
        "bytes": file.stat().st_size,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    update("weights.json", name, {key: round(value, 4) if isinstance(value, float) else value for key, value in entry.items()})


def kernels(program, runs):
    """Trains `mini` and keeps the first layer's kernels at the end of some epochs, from its checkpoints."""
    out = runs / "kernels"
    shutil.rmtree(out, ignore_errors=True)
    kept = {}
    # A checkpoint is replaced two epochs later, seconds after it was written.
    training = subprocess.Popen([program, "train", "mini", "--plain", "--out", out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while training.poll() is None:
        for checkpoint in out.glob("*/checkpoints/epoch-*"):
            number = checkpoint.name.split("-")[1]
            epoch = int(number) if number.isdigit() else 0  # one in mid-epoch has its step in its name
            if epoch in EPOCHS and epoch not in kept:
                copy = out / f"epoch-{epoch}.safetensors"
                model = next(checkpoint.glob("model*.bpk"), None)
                if model and subprocess.run([program, "weights", "export", model, "--preprocessing", "paper", "--half", "--out", copy], capture_output=True).returncode == 0:
                    kept[epoch] = copy
        time.sleep(0.1)
    [run] = [folder for folder in out.iterdir() if (folder / "result.json").is_file()]
    kept[8] = out / "epoch-8.safetensors"
    call(program, "weights", "export", run, "--half", "--out", kept[8])
    if sorted(kept) != EPOCHS:
        sys.exit(f"kernels: only epochs {sorted(kept)} were seen; run it again on a quiet machine")
    tensors = {f"epoch-{epoch:02}.conv1.weight": tensor(path, "conv1.weight") for epoch, path in sorted(kept.items())}
    write(FOLDER / "kernels" / "mini.safetensors", tensors)


def tensor(path, name):
    """Reads a tensor of a safetensors file: its type, its shape and its bytes."""
    content = path.read_bytes()
    [length] = struct.unpack("<Q", content[:8])
    about = json.loads(content[8:8 + length])[name]
    begin, end = about["data_offsets"]
    return about["dtype"], about["shape"], content[8 + length + begin:8 + length + end]


def write(path, tensors):
    header, content = {}, b""
    for name, (dtype, shape, numbers) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(content), len(content) + len(numbers)]}
        content += numbers
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)


def arms(program, folder, *words):
    """Trains an ablation and returns the rows of the metrics of each arm's first run."""
    call(program, "ablation", *words, "--plain", "--out", folder)
    [report] = folder.glob("ablations/*/report/report.json")
    return {arm["name"]: rows(folder / Path(arm["runs"][0]["folder"]).name) for arm in read(report)["arms"]}


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def points(rows, split, across, scale=1.0):
    return [[row[across] * scale, round(100 * row["top1_error"], 2)] for row in rows if row["split"] == split]


def dropout(program, runs):
    found = arms(program, runs / "dropout", FOLDER / "dropout.toml", "--scale", "mini", "--seeds", "1", "--epochs", "60")
    curves = [
        {"name": name, "dashed": split != "validation", "points": points(rows, split, "epoch")}
        for name, rows in found.items() for split in ("validation", "train-evaluated")
    ]
    ends = {name: [points(rows, split, "epoch")[-1][1] for split in ("train-evaluated", "validation")] for name, rows in found.items()}
    said = "; ".join(f"{name}: {training:.1f} and {validation:.1f} %" for name, (training, validation) in ends.items())
    update("curves.json", "dropout", {
        "title": "Training and validation errors with and without dropout",
        "caption": "The network mini for 60 epochs, seed 0. Solid: validation images. Dashed: 2,000 training images without dropout "
                   f"and augmentation. At the end, training and validation errors are, with {said}: one seed does not decide which validates "
                   "better. Krizhevsky et al. 2012, §4.2, report “substantial overfitting” without dropout.",
        "across": "epoch", "up": "top-1 error, %", "threshold": None, "curves": curves,
    })


def activation(program, images, runs):
    """The curves of the pilot of `figure-1`, each network at its best rate."""
    pilot = FOLDER.parent / "pilots" / "figure-1.toml"
    found = arms(program, runs / "figure-1", pilot, "--scale", "figure-1", "--data", images, "--seed-base", "1000", "--seeds", "1")
    curves, said = [], []
    for name in ("ReLU", "tanh"):
        # The arms are called `relu 0.002`: the network and its rate.
        own = {arm.split()[1]: rows for arm, rows in found.items() if arm.split()[0] == name.lower()}
        reached = {rate: next((row["step"] for row in rows if row["split"] == "train-evaluated" and row["top1_error"] <= 0.25), None)
                   for rate, rows in own.items()}
        if not any(reached.values()):
            sys.exit(f"activation: {name} reaches 25 % at none of the rates")
        best = min((rate for rate in own if reached[rate]), key=lambda rate: reached[rate])
        said.append(f"{name} after {reached[best]:,} steps (rate {best} of {', '.join(sorted(own, key=float))})")
        curves.append({"name": name, "points": points(own[best], "train-evaluated", "step")})
    update("curves.json", "activation", {
        "title": "Rectifiers learn faster than tanh units",
        "caption": "Krizhevsky et al. 2012, figure 1, §3.1: the author's CIFAR-10 network of four layers without regularization, each at "
                   "the best of some constant learning rates, one seed, batches of 128: the error on 5,000 fixed training images every 50 "
                   f"steps, until it is 25 % (dotted). {'; '.join(said)}. The paper has a factor of six.",
        "across": "step", "up": "training error, %", "threshold": 25.0, "curves": curves,
    })


if __name__ == "__main__":
    main()
