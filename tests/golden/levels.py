#!/usr/bin/env python3
"""Trains the README's default ablation at every vector level of this machine, and fails where the bits differ.

    tests/golden/levels.py target/debug/experiments             # compare with levels.json and with the README's table
    tests/golden/levels.py target/debug/experiments --update    # write levels.json, after RESULTS was raised
    tests/golden/levels.py target/debug/experiments narrow      # one level

All levels with fused multiply-add must give the same weights and the same table, on any machine. `narrow-nofma` is compared too, by
`bits.py`, on short trainings.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "levels.json"
LEVELS = ["avx512", "avx2", "narrow"]


def train(program, level):
    """The weights' SHA-256 by run, and what is printed."""
    environment = os.environ | {"ALEXNET_BURN_SIMD": level}
    if subprocess.run([program, "list"], env=environment, check=False, capture_output=True).returncode != 0:
        return None
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        done = subprocess.run([program, "ablation", "lrn", "--out", f"{folder}/runs"], env=environment, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        weights = {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in pathlib.Path(folder).glob("runs/*/weights.bpk")}
        print(f"{level}: {len(weights)} runs in {time.monotonic() - began:.0f} s", flush=True)
        return dict(sorted(weights.items())), done.stdout


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("program", type=lambda text: str(pathlib.Path(text).resolve()))
    arguments.add_argument("levels", nargs="*", default=LEVELS)
    arguments.add_argument("--update", action="store_true", help="write levels.json")
    arguments = arguments.parse_args()
    found = {level: train(arguments.program, level) for level in arguments.levels}
    found = {level: result for level, result in found.items() if result is not None}
    if not found:
        sys.exit("this machine has none of these levels")
    first, (weights, table) = next(iter(found.items()))
    for level, (other, _) in found.items():
        if other != weights:
            runs = [run for run in weights if other.get(run) != weights[run]]
            sys.exit(f"{level} and {first} differ in {', '.join(runs)}")
    if arguments.update:
        GOLDEN.write_text(json.dumps(weights, indent=1) + "\n")
    elif json.loads(GOLDEN.read_text()) != weights:
        sys.exit(f"{', '.join(found)} agree with each other and not with levels.json")
    readme = (ROOT / "README.md").read_text()
    shown = re.search(r"```\n(arm .*?)```", readme, re.S)[1]
    if shown not in table:
        sys.exit(f"the README's table is not the one that was printed:\n{shown}\n{table}")
    print(f"{', '.join(found)}: the same weights, and the README's table")


main()
