"""What a GPU has to show, most telling first, until the time is over. benches/gpu.sh builds what this needs and calls it.

Each step is a process of its own and is stored as soon as it ends, in docs/gpu.json; docs/gpu.md is its table. With --dry-run the
sizes are tiny, the device is a software one, and both files go to a folder that is removed.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NETWORKS = ["alexnet-2012", "cifar10-18pct", "torchvision", "mini"]
# The second has TF32 in all products, the third f32 weights and bf16 products, the fourth compiles the network as well.
PEERS = ["torch", "torch-tf32", "torch-bf16", "torch-compile"]
# Least seconds for which a step is worth beginning.
LEAST = 15


class Over(Exception):
    """The time is over."""


class Session:
    """Processes until a deadline, and what they gave."""

    def __init__(self, given):
        self.given = given
        self.deadline = time.monotonic() + 60 * given.minutes
        self.backend = "wgpu" if given.dry_run else "cuda"
        self.results = {"machine": machine(), "backend": self.backend, "commit": commit(), "steps": {}, "not_run": {}}

    def left(self):
        return self.deadline - time.monotonic()

    def run(self, command, environment=None):
        """Runs to the end or to the deadline. Returns the seconds and the output."""
        if self.left() < LEAST:
            raise Over
        command = [str(word) for word in command]
        begun = time.monotonic()
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.left(), cwd=ROOT,
                                  env=os.environ | (environment or {}))
        except subprocess.TimeoutExpired:
            raise Over from None
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-400:]}")
        return time.monotonic() - begun, done.stdout

    def bench(self, network, *arguments, environment=None):
        """What `experiments bench` prints."""
        command = [self.given.binary, "bench", network, "--whole", "--backend", self.backend, "--format", "json", *arguments]
        wall, output = self.run(command, environment)
        return json.loads(output) | {"wall_seconds": wall}

    def step(self, name, work):
        """Does a step and keeps what it gave, or why it gave nothing."""
        try:
            self.results["steps"][name] = work()
            print(f"{name}: {json.dumps(self.results['steps'][name])[:300]}", flush=True)
        except Over:
            self.results["not_run"][name] = "the time was over"
        except (RuntimeError, ValueError, KeyError, OSError) as error:
            self.results["not_run"][name] = str(error)
            print(f"{name}: {error}", file=sys.stderr, flush=True)
        self.write()

    def write(self):
        self.given.out.mkdir(parents=True, exist_ok=True)
        (self.given.out / "gpu.json").write_text(json.dumps(self.results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (self.given.out / "gpu.md").write_text(page(self.results), encoding="utf-8")


def output_of(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.strip()
    except OSError:
        return ""


def machine():
    """The GPUs with memory and driver, or the processor."""
    gpus = output_of(["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"])
    return gpus.splitlines() or [f"no NVIDIA GPU; {os.cpu_count()} processor cores"]


def commit():
    kept = ROOT / "commit"
    return kept.read_text().strip() if kept.exists() else output_of(["git", "rev-parse", "--short", "HEAD"])


def goldens(session):
    """The tests that compare this device with PyTorch and with other devices."""
    seconds, output = session.run([session.given.tests, "golden::", "devices::", "--test-threads", "1"],
                                  {"CARGO_MANIFEST_DIR": str(ROOT)})
    return {"seconds": seconds, "result": re.search(r"test result: (.*?) in", output).group(1)}


def first_steps(session, network, batch):
    """Seconds to the first training step with no kernels kept, and in the next process."""
    with tempfile.TemporaryDirectory() as cache:
        arguments = ["--train", "--batch", batch, "--samples", "1"]
        cold, warm = (session.bench(network, *arguments, environment={"XDG_CACHE_HOME": cache}) for _ in range(2))
    return {"cold": cold["first_step_seconds"], "warm": warm["first_step_seconds"],
            "cold_process": cold["wall_seconds"], "warm_process": warm["wall_seconds"]}


def by_turns(session, network, mode, batch, samples, rounds):
    """Ours and the peers by turns, medians over all rounds, as ratios."""
    found, failed = {}, {}
    for _ in range(rounds):
        for side in ["ours", *session.peers]:
            if side in failed:
                continue
            try:
                if side == "ours":
                    result = session.bench(network, f"--{mode}", "--batch", batch, "--samples", samples)
                else:
                    device = "cpu" if session.given.dry_run else "cuda"
                    command = [sys.executable, HERE / "peer.py", network, "--peer", side, "--device", device,
                               "--batch", batch, "--samples", samples]
                    result = json.loads(session.run(command + ["--infer"] * (mode == "infer"))[1])
                found.setdefault(side, []).append(result)
            except RuntimeError as error:
                if side == "ours":
                    raise
                failed[side] = str(error)
    rates = {
        side: int(batch) / statistics.median(step for result in results for step in result["seconds_per_step"]["samples"])
        for side, results in found.items()
    }
    ours = found["ours"][0]
    return {"batch": int(batch), "images_per_second": rates, "failed": failed,
            "launches_per_step": ours["launches_per_step"], "kernels": ours["kernels"][:12]}  # fmt: skip


def training(session):
    """One CIFAR-10 training to its end."""
    with tempfile.TemporaryDirectory() as out:
        seconds, output = session.run([session.given.binary, "train", "cifar10", "--data", session.given.data.resolve(),
                                       "--backend", session.backend, "--plain", "--workers", "8", "--out", out])
    return {"seconds": seconds, "result": next(line for line in output.splitlines() if line.startswith("test:"))}


def two_devices(session):
    """Towers and divided batches on two GPUs: the tests, and an epoch of each."""
    pair = f"{session.backend}:0,{session.backend}:1"
    found = {}
    _, output = session.run([session.given.tests, "devices::", "--test-threads", "1"],
                            {"CARGO_MANIFEST_DIR": str(ROOT), "ALEXNET_BURN_DEVICES": pair})
    found["tests"] = re.search(r"test result: (.*?) in", output).group(1)
    for name, how in {"towers": [], "first": ["--data-parallel"], "ddp": ["--data-parallel=ddp"]}.items():
        with tempfile.TemporaryDirectory() as out:
            found[name] = session.run([session.given.binary, "train", "mini", "--epochs", "1", "--devices", pair, *how,
                                       "--plain", "--out", out])[0]
    return found


def page(results):
    """docs/gpu.md."""
    steps = results["steps"]
    lines = ["# On a GPU", "", "Written by `benches/gpu.sh`; the numbers are in `gpu.json`.", "",
             f"Machine: {'; '.join(results['machine'])}. Backend `{results['backend']}`, commit {results['commit']}.", ""]
    rates = {name: step for name, step in steps.items() if "images_per_second" in step}
    if rates:
        peers = [peer for peer in PEERS if any(peer in step["images_per_second"] for step in rates.values())]
        lines += ["| images per second | batch | ours | " + "".join(f"{peer} | " for peer in peers) + "launches a step |",
                  "|---|---|---|" + "---|" * len(peers) + "---|"]
        for name, step in rates.items():
            of = step["images_per_second"]
            cells = [f"{of[peer]:,.0f} ({of['ours'] / of[peer]:.2f}×)" if peer in of else "–" for peer in peers]
            lines.append(f"| {name} | {step['batch']} | {of['ours']:,.0f} | " + "".join(f"{cell} | " for cell in cells)
                         + f"{step['launches_per_step']} |")
        lines += ["", "In brackets: ours as a multiple of theirs, by turns in one run.", ""]
    firsts = {name: step for name, step in steps.items() if "cold" in step}
    if firsts:
        lines += ["| seconds to the first step | no kernels kept | kernels kept |", "|---|---|---|"]
        lines += [f"| {name} | {step['cold']:.1f} | {step['warm']:.1f} |" for name, step in firsts.items()] + [""]
    for name in ("goldens", "cifar10", "two devices"):
        if name in steps:
            said = ", ".join(f"{key} {value if isinstance(value, str) else format(value, '.0f')}" for key, value in steps[name].items())
            lines.append(f"- {name}: {said}")
    lines += [f"- not run: {name} ({why})" for name, why in results["not_run"].items()]
    return "\n".join(lines).rstrip() + "\n"


def has_torch():
    return subprocess.run([sys.executable, "-c", "import torch"], capture_output=True).returncode == 0


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("minutes", type=float, nargs="?", default=10)
    arguments.add_argument("--binary", default="target/release/experiments")
    arguments.add_argument("--tests", required=True, help="the built integration tests")
    arguments.add_argument("--data", type=pathlib.Path, help="CIFAR-10's images")
    arguments.add_argument("--out", type=pathlib.Path, default=ROOT / "docs")
    arguments.add_argument("--dry-run", action="store_true")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if given.dry_run:
            given.out = pathlib.Path(scratch)
        session = Session(given)
        session.peers = PEERS if has_torch() and not given.dry_run else []
        if not session.peers:
            session.results["not_run"]["peers"] = "a dry run" if given.dry_run else f"{sys.executable} has no PyTorch"
        networks, batch, samples, rounds = (["mini"], "4", "2", 1) if given.dry_run else (NETWORKS, "128", "20", 2)
        if not given.dry_run:
            session.step("goldens", lambda: goldens(session))
        for network in networks[:2]:
            session.step(f"first step of {network}", lambda: first_steps(session, network, batch))
        for network in networks:
            for mode in ("train", "infer"):
                session.step(f"{network}, {mode}", lambda: by_turns(session, network, mode, batch, samples, rounds))
        if given.data:
            session.step("cifar10", lambda: training(session))
        if len(session.results["machine"]) > 1:
            session.step("two devices", lambda: two_devices(session))
        print((given.out / "gpu.md").read_text(encoding="utf-8"))
        if given.dry_run and set(session.results["not_run"]) != {"peers"}:
            sys.exit("a step of the dry run gave nothing")


if __name__ == "__main__":
    main()
