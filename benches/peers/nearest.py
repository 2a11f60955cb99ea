#!/usr/bin/env python3
"""Exact nearest neighbours beside FAISS's IndexFlatL2, by turns.

    pip install faiss-cpu==1.15.1 numpy==2.4.6
    python benches/peers/nearest.py PROGRAM [--rounds 3]

1,000 queries among 100,000 rows of 4096 numbers, six neighbours each, two threads both."""

import argparse
import json
import statistics
import subprocess
import time

import faiss
import numpy

ROWS, WIDTH, QUERIES, K = 100_000, 4096, 1000, 6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    draw = numpy.random.default_rng(2012)
    rows = draw.random((ROWS, WIDTH), dtype=numpy.float32) - 0.5
    queries = draw.random((QUERIES, WIDTH), dtype=numpy.float32) - 0.5
    index = faiss.IndexFlatL2(WIDTH)
    index.add(rows)
    faiss.omp_set_num_threads(2)
    theirs, ours, shares = [], [], []
    for turn in range(args.rounds):
        begun = time.perf_counter()
        index.search(queries, K)
        theirs.append(time.perf_counter() - begun)
        command = [args.program, "bench", "nearest", "--format", "json"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        ours.append(found["seconds"])
        shares.append(found["share"])
        print(f"round {turn + 1}: FAISS {theirs[-1]:.2f} s, ours {ours[-1]:.2f} s, {100 * shares[-1]:.0f} % of a product", flush=True)
    ratio = statistics.median(a / b for a, b in zip(theirs, ours))
    print(f"\nFAISS {faiss.__version__}: ours is {ratio:.2f} times as fast, at {100 * statistics.median(shares):.0f} % of a matrix product's rate")


if __name__ == "__main__":
    main()
