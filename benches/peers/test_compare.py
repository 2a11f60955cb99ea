"""Tests of compare.py and page.py without a binary and without peers: python3 -m unittest discover benches/peers"""

import argparse
import contextlib
import io
import re
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))

import compare
import page
from rows import COMPARISONS, ON_A_GPU, RATIOS

ROW = {row.name: row for row in COMPARISONS}
# What `experiments model` prints, as far as it is read.
DESCRIBED = {
    "parameters": 1_000_000,
    "layers": [
        {"output": "96 × 55 × 55", "multiply_adds": 500_000_000},
        {"output": "1000", "multiply_adds": 1_000_000},
    ],
}


def given(**changes):
    """The command line's values."""
    values = {"binary": sys.executable, "before": None, "backend": "flex", "rounds": 2, "samples": 3, "threads": 2}
    return argparse.Namespace(**{**values, "only": None, "write": False, **changes})


def result(side, *_):
    """What a process of a side prints: ours takes 0.1 s, all others 0.3 s."""
    seconds = 0.1 if side == "ours" else 0.3
    layer = {"name": "conv1", "forward_seconds": 0.01, "backward_seconds": 0.02, "gflops": 90.0}
    ours = {"gflops": 80.0, "layers": [layer]} if side in ("ours", "direct", "before") else {}
    return ours | {
        "seconds_per_step": {"median": seconds, "samples": [seconds, seconds * 0.9, seconds * 1.1]},
        "peak_rss_bytes": 2_000_000_000,
        "matmul_gflops": 100.0 if side == "ours" else 90.0,
    }


def compared(row, **changes):
    """The record of a row from these results, and what was printed."""
    printed = io.StringIO()
    run = lambda command: DESCRIBED if "model" in command else {"gigabytes_per_second": 20.0}
    sides = ["ours", *row.sides] + changes.pop("more", [])
    with (
        mock.patch.object(compare, "measure", result),
        mock.patch.object(compare, "run", run),
        mock.patch.object(compare, "sides_of", lambda *_: sides),
        contextlib.redirect_stdout(printed),
    ):
        record = compare.compare(row, given(**changes))
    return record, printed.getvalue()


def results(commits=("abc1234",)):
    """The results of a column with all rows, whose commits repeat."""
    records = {row.name: compared(row, more=["before"])[0] for row in COMPARISONS}
    records["threads"] = {"step": 1.9, "product": 2.0, "ratio": 0.95}
    records["batches"] = {"milliseconds": {batch: 30.0 for batch in compare.BATCHES}}
    shared = {"date": "2026-01-02", "rounds": 2}
    rows = {
        name: {"commit": commits[index % len(commits)], **shared, **record}
        for index, (name, record) in enumerate(records.items())
    }
    machine = {"processor": "Processor", "system": "Linux x86_64", "threads": 2, "versions": {"torch": "2.15.0"}}
    return {"machine": machine, "rows": rows}


def made(found):
    """The page of results."""
    return page.page(found, page.TEMPLATE.read_text(encoding="utf-8"))


class Comparison(unittest.TestCase):
    def test_the_printed_lines(self):
        _, printed = compared(ROW["train-18pct"])
        self.assertEqual(printed, """
train-18pct: cifar10-18pct --train (target 1.9)
  ours                    0.1000 s a step (0.0900 to 0.1100)   2.00 GB  ours is 1.00 times as fast
  torch                   0.3000 s a step (0.2700 to 0.3300)   2.00 GB  ours is 3.00 times as fast
  direct                  0.3000 s a step (0.2700 to 0.3300)   2.00 GB  ours is 3.00 times as fast
  composed                0.3000 s a step (0.2700 to 0.3300)   2.00 GB  ours is 3.00 times as fast
  ours runs at 80 % of the faster side's matrix product, 100 GFLOP/s
""")  # fmt: skip

    def test_one_image_has_a_limit(self):
        record, printed = compared(ROW["latency-2012"])
        # 4 MB at 20 GB/s, and a GFLOP of convolutions at 100 GFLOP/s.
        self.assertAlmostEqual(record["limit"]["seconds"], 0.0002 + 0.01)
        self.assertIn("the limit is 10 % of our time: 0.0002 s to read the weights at 20.0 GB/s, 0.0100 s", printed)

    def test_a_rows_threads_and_batch_hold_for_all_sides(self):
        commands = []
        with mock.patch.object(compare, "run", commands.append):
            for side in ("ours", "torch", "before"):
                compare.measure(side, "mini", ROW["train-mini"].arguments, given(before="old"), 200)
        for command in commands:
            words = " ".join(map(str, command))
            self.assertEqual(re.findall(r"--(?:threads|batch) \d+", words), ["--batch 32", "--threads 1"])
        self.assertIn("--peer", commands[1])
        self.assertEqual((commands[0][0], commands[2][0]), (sys.executable, "old"))

    def test_the_forms_of_our_operations(self):
        commands = []
        with mock.patch.object(compare, "run", commands.append):
            for side in ("ours", "direct", "composed"):
                compare.measure(side, "mini", ["--train"], given(), 3)
        self.assertEqual([command[-1] for command in commands], ["fast", "direct", "composed"])

    def test_a_gpu_has_no_sides_of_processors(self):
        sides = {side for row in ON_A_GPU for side in row.sides}
        self.assertEqual(sides, {"torch", "torch-tf32", "composed"})
        self.assertEqual(len(ON_A_GPU), 5)


class Missing(unittest.TestCase):
    def test_each_missing_thing_has_a_line_that_says_what_to_do(self):
        absent = lambda name: None if name in ("torch", "onnxscript") else name
        found = compare.missing(given(binary="no/such/binary"), COMPARISONS, absent)
        self.assertEqual(found[0], "no/such/binary is missing: cargo build -p experiments")
        self.assertEqual([line.split()[0] for line in found[1:]], ["torch", "onnxscript"])
        for line in found[1:]:
            self.assertRegex(line, r"^\w+ is missing: \S+ -m pip install -r \S+requirements.txt$")

    def test_a_row_needs_only_its_own_peers(self):
        nothing = lambda _: None
        self.assertEqual(len(compare.missing(given(), [ROW["train-mini"]], nothing)), 2)
        self.assertEqual(compare.missing(given(), [], nothing), [])
        self.assertEqual(len(compare.missing(given(write=True), [], nothing)), 5)


class Page(unittest.TestCase):
    def test_what_has_no_results_is_not_measured(self):
        nothing = results()
        nothing["rows"] = {"threads": nothing["rows"]["threads"]}
        text = made({"avx2-amd": nothing, "avx512-intel": nothing})
        self.assertEqual(text.count("not measured | not measured |"), len(RATIOS) - 1 + len(COMPARISONS) + 2 * 2 + 2 * 8)
        self.assertIn("- AVX-512, Intel: Processor, 2 threads, Linux x86_64; torch 2.15.0.", text)

    def test_only_columns_with_results_are_shown(self):
        self.assertIn("\n|  | target | AVX2, AMD |\n", made({"avx2-amd": results()}))

    def test_two_columns_stand_side_by_side(self):
        other = results()
        del other["rows"]["train-mini"]
        text = made({"avx2-amd": results(), "avx512-intel": other})
        self.assertIn("| training step, `cifar10-18pct`, against PyTorch | ≥ 1.90× | 3.00× | 3.00× |", text)
        self.assertIn("against PyTorch | ≥ 2.50× | 3.00× | not measured |", text)
        self.assertIn("its peak memory against PyTorch's | ≤ 0.50 | **1.00** | **1.00** |", text)
        self.assertIn("| `train-18pct` | ours | 0.1000 s (0.0900 to 0.1100), 2.00 GB, 80 % of 100 GFLOP/s |", text)
        self.assertIn("|  | before | 0.3000 s (0.2700 to 0.3300), 2.00 GB, 3.00× |", text)
        self.assertIn("| conv1 | 10.0 + 20.0 | 10.0 + 20.0 | 10.0 + 20.0 | 10.0 + 20.0 |", text)
        self.assertNotIn("{{", text)

    def test_rows_of_different_commits_are_named(self):
        self.assertIn("all rows at commit abc1234.", made({"avx2-amd": results()}))
        text = made({"avx2-amd": results(("abc1234", "def5678"))})
        self.assertRegex(text, r"different commits\*\*: abc1234 \(`train-2012`, .*\); def5678 \(`train-torchvision`")


class Column(unittest.TestCase):
    def test_a_processor_has_the_column_of_its_level_and_maker(self):
        wide = "fma avx2 avx512f avx512bw avx512cd avx512dq avx512vl"
        for flags, maker, column in [
            ("fma avx2", "AuthenticAMD", "avx2-amd"),
            (wide, "GenuineIntel", "avx512-intel"),
            ("avx2", "AuthenticAMD", None),
            (wide, "Another", None),
        ]:
            with mock.patch.object(compare, "cpuinfo", {"flags": flags, "vendor_id": maker}.get):
                self.assertEqual(compare.column(), column)


class Storing(unittest.TestCase):
    def store(self, folder, **changes):
        machine = {"processor": changes.pop("processor", "Processor")}
        with (
            mock.patch.object(compare, "column", lambda: "avx2-amd"),
            mock.patch.object(compare, "machine", lambda _: machine),
        ):
            return compare.Store(given(**changes), Path(folder) / "results")

    def test_a_part_replaces_its_rows_and_all_replace_the_file(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(compare, "commit", lambda: "abc1234"):
            store = self.store(folder)
            store.keep("threads", {"ratio": 1 / 3})
            store.keep("batches", {"milliseconds": {"32": 1.0}})
            self.store(folder, only="threads").keep("threads", {"ratio": 2 / 3})
            read = page.load(Path(folder) / "results")["avx2-amd"]["rows"]
            self.assertEqual(list(read), ["threads", "batches"])
            self.assertEqual(read["threads"]["ratio"], 0.666667)
            self.assertEqual((read["threads"]["commit"], read["threads"]["rounds"]), ("abc1234", 2))
            with self.assertRaises(SystemExit):
                self.store(folder, only="threads", processor="Another")
            self.store(folder, processor="Another").keep("threads", {"ratio": 1.0})
            self.assertEqual(list(page.load(Path(folder) / "results")["avx2-amd"]["rows"]), ["threads"])


if __name__ == "__main__":
    unittest.main()
