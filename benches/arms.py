#!/usr/bin/env python3
r"""What a training step of each arm of an ablation costs beside the base's, in processor time.

    benches/arms.py target/debug/experiments modern --few 100 --many 800 --rounds 2 > docs/figures/modern-cost.json
    benches/arms.py target/debug/experiments modern --scale fashion --data fetched/fashion-mnist > cost.json

Each arm is trained for one epoch twice, on `--few` and on `--many` images of a class, with as many images for validation and test.
What the longer run takes more is what its additional steps take, with the preparation of their batches. Arms take turns, one process
at a time, round after round; the median over rounds of the quotient of an arm and the base is written. Processor time
depends less on what else the machine does than time does, but cores that share caches or are halves of one slow each other.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile


def planned(program, arguments, out, images):
    """Plans the runs of a study without training them. Returns its folder and the study."""
    words = ["submit", "slurm", arguments.ablation, "--scale", arguments.scale, "--dry-run", "--epochs", "1", "--seeds", arguments.rounds]
    words += ["--set", f"data.labelled={images}", "--set", "recipe.training_error.images=0", "--out", out, *data(arguments)]
    subprocess.run([program, *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    (folder,) = (out / "ablations").iterdir()
    return folder, json.loads((folder / "study.json").read_text())


def data(arguments):
    return ["--data", str(pathlib.Path(arguments.data).resolve())] if arguments.data else []


def seconds(program, arguments, folder, task):
    """The processor time of one run."""
    words = ["work", folder, "--task", task, "--threads", 1, *data(arguments)]
    process = subprocess.Popen([program, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"task {task} in {folder} failed")
    return usage.ru_utime + usage.ru_stime


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("program", type=lambda text: str(pathlib.Path(text).resolve()))
    arguments.add_argument("ablation")
    arguments.add_argument("--scale", default="mini")
    arguments.add_argument("--data")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--few", type=int, default=500, help="training images of a class; not fewer than are validated")
    arguments.add_argument("--many", type=int, default=2500)
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        studies = [planned(arguments.program, arguments, pathlib.Path(folder) / str(images), images) for images in (arguments.few, arguments.many)]
        study = studies[1][1]
        names = [arm["name"] for arm in study["arms"]]
        if len({arm["runs"][0] for arm in study["arms"]}) < len(names):
            sys.exit("arms that share runs have no time of their own")
        recipe = study["arms"][0]["config"]["recipe"]
        steps = (arguments.many - arguments.few) * study["arms"][0]["config"]["network"]["classes"] / recipe["batch_size"]
        times = {name: [] for name in names}
        for turn in range(arguments.rounds):
            for place, name in enumerate(names):
                short, long = (seconds(arguments.program, arguments, at, turn * len(names) + place) for at, _ in studies)
                times[name].append((long - short) / steps)
                print(f"round {turn + 1}, {name}: {1e3 * times[name][-1]:.2f} ms a step", file=sys.stderr, flush=True)
    base = times[names[0]]
    arms = [
        {
            "name": name,
            "step_time": round(statistics.median(own / other for own, other in zip(times[name], base)), 3),
            "milliseconds": [round(1e3 * time, 3) for time in times[name]],
        }
        for name in names
    ]
    about = {"ablation": arguments.ablation, "scale": arguments.scale, "backend": study["backend"], "steps": steps}
    print(json.dumps(about | {"code_version": study["code_version"], "rounds": arguments.rounds, "arms": arms}, indent=1))


main()
