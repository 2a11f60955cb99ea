"""How fast this machine reads memory: threads that sum 1 GiB of floats. Prints JSON."""

import argparse
import json
import statistics
import time

import torch


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--threads", type=int, default=2)
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    values = torch.ones(2**28)
    rates = []
    for _ in range(8):
        begun = time.perf_counter()
        values.sum()
        rates.append(4 * values.numel() / (time.perf_counter() - begun) / 1e9)
    print(json.dumps({"gigabytes_per_second": statistics.median(rates[1:])}))


if __name__ == "__main__":
    main()
