"""The rows of BENCHMARKS.md: what compare.py measures, and which ratios have a target."""

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Row:
    """One network and mode, measured on all sides by turns."""

    name: str
    network: str
    # Arguments of `experiments bench`. A batch size or number of threads among them holds for the peers too.
    arguments: list
    # The sides besides ours: peers (peer.py) and other forms of our operations.
    sides: list
    # For the speed relative to the fastest peer.
    target: float | None
    # The least number of steps per process: short steps need more of them.
    samples: int = 0
    # Whether to compare with the limit of one image: reading the weights once, plus the direct convolutions.
    has_limit: bool = False

    def option(self, name, default):
        """The value of an option among the arguments."""
        return self.arguments[self.arguments.index(name) + 1] if name in self.arguments else default


# Forms of this project's operations: values of `--ops`.
FORMS = ["direct", "composed"]
PEERS = ["torch", "torch-channels-last", "torch-tf32", "torch-bf16", "torch-compile", "onnx"]
ONE_IMAGE = ["--infer", "--batch", "1"]
COMPARISONS = [
    Row("train-2012", "alexnet-2012", ["--train"], ["torch", "torch-channels-last", "direct", "composed"], 2.9),
    Row("train-torchvision", "torchvision", ["--train"], ["torch", "torch-channels-last", "direct"], 1.3),
    Row("train-18pct", "cifar10-18pct", ["--train"], ["torch", "direct", "composed"], 1.9),
    Row("train-mini", "mini", ["--train", "--batch", "32", "--threads", "1"], ["torch"], 2.5, samples=200),
    Row("train-conv-local-13pct", "cifar10-conv-local-13pct", ["--train"], ["torch"], 2.0),
    Row("infer-2012", "alexnet-2012", ["--infer"], ["torch", "onnx", "direct"], 2.0),
    Row("latency-2012", "alexnet-2012", ONE_IMAGE, ["torch", "onnx"], 1.25, samples=30, has_limit=True),
]
# The same on a GPU: PyTorch by default multiplies in f32 and convolves in TF32; `torch-tf32` does both in TF32.
ON_A_GPU = [
    replace(row, sides=["torch", "torch-tf32"] + ["composed"] * ("composed" in row.sides), target=None, samples=30,
            has_limit=False)
    for row in COMPARISONS
    if row.name not in ("train-mini", "train-conv-local-13pct")
]  # fmt: skip
# Two more rows, of our training step of `alexnet-2012` alone.
THREADS_TARGET = 0.9
BATCHES = ["32", "64", "128", "256"]


@dataclass(frozen=True)
class Ratio:
    """One line of the page's first table: a figure of a row and its target."""

    text: str
    row: str
    # The figure, from the record of the row (compare.py); may raise KeyError if the record lacks it.
    figure: Callable
    target: float
    unit: str = "×"
    at_most: bool = False

    def is_met(self, figure):
        return figure <= self.target if self.at_most else figure >= self.target

    def show(self, figure):
        return f"{figure:.0f} %" if self.unit == "%" else f"{figure:.2f}{self.unit}"


def against_peers(record):
    """How many times as fast as the fastest peer."""
    return min(side["ratio"] for name, side in record["sides"].items() if name in PEERS)


def against_before(record):
    """How many times as fast as the binary of `--before`."""
    return record["sides"]["before"]["ratio"]


def memory_against_torch(record):
    """The peak memory as a share of PyTorch's."""
    sides = record["sides"]
    return sides["ours"]["peak_bytes"] / sides["torch"]["peak_bytes"]


def speed(text, name):
    """The ratio of a comparison to its fastest peer, with the target of the comparison."""
    return Ratio(text, name, against_peers, next(row.target for row in COMPARISONS if row.name == name))


RATIOS = [
    speed("training step, `alexnet-2012`, against the better of PyTorch's layouts", "train-2012"),
    Ratio("the same as a share of the direct method's limit", "train-2012", lambda record: record["share"], 112, "%"),
    Ratio("its peak memory against PyTorch's", "train-2012", memory_against_torch, 0.5, "", at_most=True),
    speed("inference, `alexnet-2012`, against the better of PyTorch and ONNX Runtime", "infer-2012"),
    speed("one image, `alexnet-2012`, likewise", "latency-2012"),
    Ratio("the same as a share of its limit", "latency-2012", lambda record: record["limit"]["share"], 90, "%"),
    speed("training step, `torchvision`, against the better of PyTorch's layouts", "train-torchvision"),
    speed("training step, `cifar10-18pct`, against PyTorch", "train-18pct"),
    speed("training step, `mini`, batch 32, one thread, against PyTorch", "train-mini"),
    speed("training step, `cifar10-conv-local-13pct`, against PyTorch", "train-conv-local-13pct"),
    Ratio("the same against commit 209a0fd", "train-conv-local-13pct", against_before, 1.7),
    Ratio("2 threads against 1, as a share of the matrix product's gain", "threads", lambda record: record["ratio"],
          THREADS_TARGET, ""),
]  # fmt: skip
