"""Ours and theirs by turns, on the same machine in the same run, as ratios.

    python3 -m venv peers && peers/bin/pip install -r benches/peers/requirements.txt
    cargo build -p experiments
    peers/bin/python benches/peers/compare.py [--rounds 3] [--only NAME]   # print
    peers/bin/python benches/peers/compare.py --write [--only NAME]        # and store, and write BENCHMARKS.md

Each measurement is a process of its own, so that its memory is its own. A figure is the median of the
steps of all rounds; the rounds alternate, so that whatever else the machine does falls on all alike.
"""

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys

import page
from page import HERE, ROOT
from rows import BATCHES, COMPARISONS, FORMS, ON_A_GPU, PEERS, THREADS_TARGET

# What the peers import, in the order of the messages.
MODULES = ["torch", "onnx", "onnxruntime", "onnxscript", "numpy"]


def run_text(command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def run(command):
    command = [str(word) for word in command]
    output = subprocess.run(command, capture_output=True, text=True)
    if output.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{output.stderr[-2000:]}")
    return json.loads(output.stdout[output.stdout.index("{"):])


def measure(side, network, arguments, given, samples):
    """One process of one side: what `experiments bench` or peer.py prints."""
    arguments = arguments if "--threads" in arguments else [*arguments, "--threads", str(given.threads)]
    if side in PEERS:
        command = [sys.executable, HERE / "peer.py", network, "--peer", side, "--samples", samples]
        command += ["--device", "cuda" if given.backend == "cuda" else "cpu"]
        return run(command + [word for word in arguments if word != "--train"])
    binary = given.before if side == "before" else given.binary
    command = [binary, "bench", network, *arguments, "--format", "json", "--samples", samples]
    return run([*command, "--backend", given.backend, "--ops", side if side in FORMS else "fast"])


def sides_of(row, given):
    """The sides that can be measured: `direct` and `before` need binaries that know them."""
    sides = ["ours", *row.sides]
    if "direct" in sides and not re.search(r"\bdirect\b", run_text([given.binary, "bench", "--help"])):
        print(f"{row.name}: {given.binary} has no `--ops direct`; left out", file=sys.stderr)
        sides.remove("direct")
    if given.before:
        if subprocess.run([given.before, "model", row.network], capture_output=True).returncode == 0:
            sides.append("before")
        else:
            print(f"{row.name}: {given.before} does not know {row.network}; left out", file=sys.stderr)
    return sides


def compare(row, given):
    """Measures a row, prints it and returns its record."""
    samples = max(given.samples, row.samples)
    found = {side: [] for side in sides_of(row, given)}
    reading = []
    for _ in range(given.rounds):
        for side, results in found.items():
            results.append(measure(side, row.network, row.arguments, given, samples))
        if row.has_limit:
            command = [sys.executable, HERE / "memory.py", "--threads", row.option("--threads", given.threads)]
            reading.append(run(command)["gigabytes_per_second"])
    record = {"network": row.network, "arguments": row.arguments, "target": row.target, "samples": samples}
    record |= summary(found)
    if row.has_limit:
        described = run([given.binary, "model", row.network, "--format", "json"])
        record["limit"] = limit(record, described, statistics.median(reading))
    print("\n" + "\n".join(lines(row, record)), flush=True)
    return record


def summary(found):
    """The figures of a comparison from the results of each side's processes."""
    sides = {}
    for side, results in found.items():
        steps = [step for result in results for step in result["seconds_per_step"]["samples"]]
        sides[side] = {
            "median": statistics.median(steps),
            "min": min(steps),
            "max": max(steps),
            "peak_bytes": max(result["peak_rss_bytes"] or 0 for result in results),
            "matmul_gflops": statistics.median(result["matmul_gflops"] for result in results),
        }
    for figures in sides.values():
        figures["ratio"] = figures["median"] / sides["ours"]["median"]
    # The faster side's: ours and theirs multiply the same matrices in the same rounds.
    record = {"sides": sides, "product_gflops": max(figures["matmul_gflops"] for figures in sides.values())}
    if "gflops" in found["ours"][0]:
        # `gflops` counts the operations of the direct method, whatever the kernels compute.
        per_step = statistics.median(r["gflops"] * r["seconds_per_step"]["median"] for r in found["ours"])
        record["share"] = 100 * per_step / sides["ours"]["median"] / record["product_gflops"]
    if "direct" in found:
        record["layers"] = {side: layers(found[side]) for side in ("ours", "direct")}
    return record


def layers(results):
    """Each layer's milliseconds, medians over the processes."""

    def milliseconds(index, key):
        return 1e3 * statistics.median(result["layers"][index][key] or 0 for result in results)

    return [
        {"name": layer["name"], "forward_ms": milliseconds(index, "forward_seconds"),
         "backward_ms": milliseconds(index, "backward_seconds")}
        for index, layer in enumerate(results[0]["layers"])
    ]  # fmt: skip


def limit(record, described, gigabytes_per_second):
    """The limit of one image: reading all weights once, plus the direct convolutions at the product's rate.

    `described` is what `experiments model --format json` prints."""
    # Outputs of convolutions are `channels × side × side`.
    convolutions = sum(layer["multiply_adds"] for layer in described["layers"] if "×" in layer["output"])
    weights = 4 * described["parameters"] / gigabytes_per_second / 1e9
    seconds = weights + 2 * convolutions / record["product_gflops"] / 1e9
    share = 100 * seconds / record["sides"]["ours"]["median"]
    return {
        "share": share,
        "seconds": seconds,
        "weights_seconds": weights,
        "gigabytes_per_second": gigabytes_per_second,
    }


def lines(row, record):
    """The lines that are printed for a comparison."""
    found = [f"{row.name}: {row.network} {' '.join(row.arguments)} " + f"(target {row.target})" * bool(row.target)]
    for side, figures in record["sides"].items():
        found.append(f"  {side:<20} {figures['median']:9.4f} s a step ({figures['min']:.4f} to {figures['max']:.4f})"
                     f"  {figures['peak_bytes'] / 1e9:5.2f} GB  ours is {figures['ratio']:.2f} times as fast")
    if "share" in record:
        found.append(f"  ours runs at {record['share']:.0f} % of the faster side's matrix product, "
                     f"{record['product_gflops']:.0f} GFLOP/s")
    if "limit" in record:
        of = record["limit"]
        weights, rate = of["weights_seconds"], of["gigabytes_per_second"]
        found.append(f"  the limit is {of['share']:.0f} % of our time: {weights:.4f} s to read the weights "
                     f"at {rate:.1f} GB/s, {of['seconds'] - weights:.4f} s of direct convolutions")
    return found


def threads(given):
    """What a second thread gains a training step, as a share of what it gains the bare matrix product."""
    found = {count: [] for count in (1, given.threads)}
    for _ in range(given.rounds):
        for count, results in found.items():
            arguments = ["--train", "--threads", str(count)]
            results.append(measure("ours", "alexnet-2012", arguments, given, given.samples))
    one, more = ({
        "step": statistics.median(step for r in results for step in r["seconds_per_step"]["samples"]),
        "rate": statistics.median(r["matmul_gflops"] for r in results),
    } for results in found.values())
    step, product = one["step"] / more["step"], more["rate"] / one["rate"]
    print(f"\nthreads: alexnet-2012 --train (target {THREADS_TARGET})\n  {given.threads} threads against 1: the step is "
          f"{step:.2f} times as fast, the matrix product {product:.2f} times: {step / product:.2f}", flush=True)
    return {"samples": given.samples, "step": step, "product": product, "ratio": step / product}


def batches(given):
    """Time per image by batch size."""
    found = {batch: [] for batch in BATCHES}
    for _ in range(given.rounds):
        for batch, steps in found.items():
            result = measure("ours", "alexnet-2012", ["--train", "--batch", batch], given, given.samples)
            steps += result["seconds_per_step"]["samples"]
    milliseconds = {batch: 1e3 * statistics.median(steps) / int(batch) for batch, steps in found.items()}
    print("\nbatches: alexnet-2012 --train")
    for batch, time in milliseconds.items():
        print(f"  {batch:>4} images: {time:6.2f} ms an image", flush=True)
    return {"samples": given.samples, "milliseconds": milliseconds}


def cpuinfo(key):
    """The first value of a key of /proc/cpuinfo."""
    try:
        with open("/proc/cpuinfo") as file:
            return next((line.split(":")[1].strip() for line in file if line.startswith(key)), "")
    except OSError:
        return ""


def level():
    """The widest vector level of this processor, as the binary chooses it."""
    flags = set(cpuinfo("flags").split())
    if {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= flags:
        return "avx512"
    return "avx2" if {"avx2", "fma"} <= flags else None


def column():
    """The column of this processor on the page, or none: its level and its maker."""
    name = f"{level()}-{page.MAKERS.get(cpuinfo('vendor_id'), '').lower()}"
    return name if name in page.COLUMNS else None


def machine(given):
    """What all rows of a file of results share."""
    return {
        "processor": cpuinfo("model name") or platform.processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": given.threads,
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "onnxruntime", "numpy")},
    }


def commit():
    """The checkout's commit; `-dirty` if the code differs from it."""
    git = ["git", "-C", str(ROOT)]
    code = ["crates", "experiments", "benches/peers/*.py", "Cargo.toml", "Cargo.lock"]
    dirty = run_text([*git, "status", "--porcelain", "--", *code])
    return run_text([*git, "rev-parse", "--short", "HEAD"]) + "-dirty" * bool(dirty)


class Store:
    """The file of results of this machine's column. A row is stored as soon as it is measured."""

    def __init__(self, given, folder=page.RESULTS):
        self.file = folder / f"{column()}.json"
        self.rounds = given.rounds
        self.results = {"level": level(), "machine": machine(given), "rows": {}}
        if given.only and self.file.exists():
            before = json.loads(self.file.read_text(encoding="utf-8"))
            if before["machine"] != self.results["machine"]:
                sys.exit(f"{self.file}: the other rows are of another machine or version: measure all rows\n"
                         f"  there: {before['machine']}\n  here: {self.results['machine']}")
            self.results["rows"] = before["rows"]

    def keep(self, name, record):
        shared = {"commit": commit(), "date": datetime.date.today().isoformat(), "rounds": self.rounds}
        self.results["rows"][name] = rounded(shared | record)
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(json.dumps(self.results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def rounded(value):
    """Floats to six significant digits, in whatever they lie."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def missing(given, rows, find=importlib.util.find_spec):
    """A line for each thing that the rows need and that is not there."""
    found = []
    for binary in filter(None, [given.binary, given.before]):
        if shutil.which(binary) is None:
            found.append(f"{binary} is missing: cargo build -p experiments")
    sides = {side for row in rows for side in row.sides if side in PEERS}
    needed = MODULES if "onnx" in sides or given.write else ["torch", "numpy"] if sides else []
    install = f"{sys.executable} -m pip install -r {HERE / 'requirements.txt'}"
    return found + [f"{name} is missing: {install}" for name in needed if find(name) is None]


def parse():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", default="target/debug/experiments")
    arguments.add_argument("--before", help="another build of `experiments`, which is measured by turns with ours")
    arguments.add_argument("--backend", choices=["flex", "cuda"], default="flex")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--samples", type=int, default=3, help="steps per process; rows of short steps take more")
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--only", metavar="NAME", help="measure this row alone")
    what = arguments.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="store the results in benches/results, write BENCHMARKS.md")
    what.add_argument("--page", action="store_true", help="write BENCHMARKS.md from the stored results")
    what.add_argument("--check", action="store_true", help="fail if BENCHMARKS.md is not what --page would write")
    given = arguments.parse_args()
    if given.write and given.backend == "cuda":
        arguments.error("--write stores results of processors only")
    if given.write and os.environ.get("ALEXNET_BURN_SIMD"):
        arguments.error("--write with ALEXNET_BURN_SIMD: the peers do not read that variable")
    if given.write and column() is None:
        arguments.error(f"--write stores results of these processors only: {'; '.join(page.COLUMNS.values())}")
    if min(given.rounds, given.samples, given.threads) < 1:
        arguments.error("--rounds, --samples and --threads must be at least 1")
    return arguments, given


def main():
    arguments, given = parse()
    if given.check:
        old = page.PAGE.read_text(encoding="utf-8") if page.PAGE.exists() else ""
        if old != page.written():
            sys.exit("BENCHMARKS.md differs from its template and results: run benches/peers/compare.py --page")
        return
    if given.page:
        page.PAGE.write_text(page.written(), encoding="utf-8")
        return
    on_a_gpu = given.backend == "cuda"
    comparisons = ON_A_GPU if on_a_gpu else COMPARISONS
    others = {} if on_a_gpu else {"threads": threads, "batches": batches}
    if given.threads == 1:
        others.pop("threads", None)
    names = [row.name for row in comparisons] + list(others)
    if given.only not in (None, *names):
        arguments.error(f"--only {given.only}: the rows are {', '.join(names)}")
    chosen = [row for row in comparisons if given.only in (None, row.name)]
    if lacking := missing(given, chosen):
        print("\n".join(lacking), file=sys.stderr)
        sys.exit(2)
    processor = cpuinfo("model name") or platform.processor()
    if on_a_gpu:
        processor = run_text(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]) + ", " + processor
    print(f"{processor}, {given.threads} threads, {platform.system()} {platform.machine()}", flush=True)
    store = Store(given) if given.write else None
    for row in chosen:
        record = compare(row, given)
        if store:
            store.keep(row.name, record)
    for name, measure_row in others.items():
        if given.only in (None, name):
            record = measure_row(given)
            if store:
                store.keep(name, record)
    if store:
        page.PAGE.write_text(page.written(), encoding="utf-8")


if __name__ == "__main__":
    main()
