"""Ours and theirs by turns, on the same machine in the same run, as ratios.

    python3 -m venv peers && peers/bin/pip install -r benches/peers/requirements.txt
    cargo build -p experiments
    peers/bin/python benches/peers/compare.py [--rounds 3] [--only NAME]

Each measurement is a process of its own, so that its memory is its own. A figure is the median of the
steps of all rounds; the rounds alternate, so that whatever else the machine does falls on all alike.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

# Name, network, our arguments, peers, the target for the ratio to the best of them.
COMPARISONS = [
    ("train-2012", "alexnet-2012", ["--train"], ["torch", "torch-channels-last", "composed"], 2.0),
    ("train-torchvision", "torchvision", ["--train"], ["torch", "torch-channels-last"], 1.05),
    ("train-18pct", "cifar10-18pct", ["--train"], ["torch", "composed"], 2.0),
    ("infer-2012", "alexnet-2012", ["--infer"], ["torch", "onnx"], 1.05),
    ("latency-2012", "alexnet-2012", ["--infer", "--batch", "1"], ["torch", "onnx"], 1.0),
]
# The same on a GPU: PyTorch by default multiplies in f32 and convolves in TF32; `torch-tf32` does both in TF32.
ON_A_GPU = [
    (name, network, ours, ["torch", "torch-tf32"] + ["composed"] * ("composed" in peers), None)
    for name, network, ours, peers, _ in COMPARISONS
]


def run_text(command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def run(command):
    output = subprocess.run(command, capture_output=True, text=True)
    if output.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{output.stderr[-2000:]}")
    return json.loads(output.stdout[output.stdout.index("{"):])


def measure(side, network, arguments, given, threads, samples):
    binary, backend = given.binary, given.backend
    batch = arguments[arguments.index("--batch") + 1] if "--batch" in arguments else "128"
    if side in ("ours", "composed"):
        command = [binary, "bench", network, *arguments, "--format", "json", "--threads", threads, "--samples", samples]
        command += ["--backend", backend]
        return run(command + ["--ops", "composed" if side == "composed" else "fast"])
    command = [sys.executable, HERE / "peer.py", network, "--peer", side, "--batch", batch]
    command += ["--threads", threads, "--samples", samples, "--device", "cuda" if backend == "cuda" else "cpu"]
    return run(command + (["--infer"] if "--infer" in arguments else []))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--binary", default="target/debug/experiments")
    arguments.add_argument("--backend", choices=["flex", "cuda"], default="flex")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--samples", default="3")
    arguments.add_argument("--threads", default="2")
    arguments.add_argument("--only")
    given = arguments.parse_args()
    processor = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    if given.backend == "cuda":
        processor = run_text(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]) + ", " + processor
    print(f"{processor}, {given.threads} threads, {platform.system()} {platform.machine()}", flush=True)
    for name, network, ours, peers, target in ON_A_GPU if given.backend == "cuda" else COMPARISONS:
        if given.only not in (None, name):
            continue
        samples = "30" if "--batch" in ours or given.backend == "cuda" else given.samples
        found = {side: [] for side in ["ours", *peers]}
        for _ in range(given.rounds):
            for side, results in found.items():
                results.append(measure(side, network, ours, given, given.threads, samples))
        print(f"\n{name}: {network} {' '.join(ours)} " + f"(target {target})" * bool(target))
        medians = {}
        # The faster side's: ours and theirs multiply the same matrices in the same rounds.
        rate = max(statistics.median(r["matmul_gflops"] for r in results) for results in found.values())
        for side, results in found.items():
            steps = [step for result in results for step in result["seconds_per_step"]["samples"]]
            medians[side] = statistics.median(steps)
            peak = max(result["peak_rss_bytes"] or 0 for result in results) / 1e9
            low, high = min(steps), max(steps)
            print(f"  {side:<20} {medians[side]:9.4f} s a step ({low:.4f} to {high:.4f})  {peak:5.2f} GB"
                  f"  ours is {medians[side] / medians['ours']:.2f} times as fast")
        if "gflops" in found["ours"][0]:
            per_step = statistics.median(r["gflops"] * r["seconds_per_step"]["median"] for r in found["ours"])
            share = 100 * per_step / medians["ours"] / rate
            print(f"  ours runs at {share:.0f} % of the faster side's matrix product, {rate:.0f} GFLOP/s", flush=True)
    if given.backend == "cuda":
        return
    if given.only in (None, "threads"):
        threads(given)
    if given.only in (None, "batches"):
        batches(given)


def threads(given):
    """What a second thread gains a training step, as a share of what it gains the bare matrix product."""
    found = {count: [] for count in ["1", given.threads]}
    for _ in range(given.rounds):
        for count, results in found.items():
            results.append(measure("ours", "alexnet-2012", ["--train"], given, count, given.samples))
    one, more = ({
        "step": statistics.median(step for r in results for step in r["seconds_per_step"]["samples"]),
        "rate": statistics.median(r["matmul_gflops"] for r in results),
    } for results in found.values())
    step, product = one["step"] / more["step"], more["rate"] / one["rate"]
    print(f"\nthreads: alexnet-2012 --train (target 0.9)\n  {given.threads} threads against 1: the step is "
          f"{step:.2f} times as fast, the matrix product {product:.2f} times: {step / product:.2f}", flush=True)


def batches(given):
    """Time per image by batch size."""
    found = {batch: [] for batch in ["32", "64", "128", "256"]}
    for _ in range(given.rounds):
        for batch, steps in found.items():
            result = measure("ours", "alexnet-2012", ["--train", "--batch", batch], given, given.threads, given.samples)
            steps += result["seconds_per_step"]["samples"]
    print("\nbatches: alexnet-2012 --train")
    for batch, steps in found.items():
        print(f"  {batch:>4} images: {1e3 * statistics.median(steps) / int(batch):6.2f} ms an image", flush=True)


if __name__ == "__main__":
    main()
