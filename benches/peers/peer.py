"""One peer, one network, one mode: prints the same JSON as `experiments bench --format json`."""

import argparse
import json
import resource
import statistics
import tempfile
import time

import numpy
import torch

from networks import build
from rows import PEERS


def seconds_of(step, samples, device):
    taken = []
    # What a GPU's libraries try out at first is not counted, nor what is allocated.
    warm = 3 if device == "cuda" else 1
    for _ in range(samples + warm):
        begun = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    return taken[warm:]


def products(peer, device):
    """The precision of products: f32 weights and bf16 products for `torch-bf16`, otherwise that of the tensors."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=peer == "torch-bf16")


def compiled(peer, network):
    return torch.compile(network) if peer == "torch-compile" else network


def training(name, batch, samples, peer, device):
    channels_last = peer == "torch-channels-last"
    network, shape, classes = build(name)
    network.train().to(device)
    images = torch.randn(batch, *shape, device=device) * 60
    targets = torch.arange(batch, device=device) % classes
    if channels_last:
        network, images = network.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)
    loss = torch.nn.CrossEntropyLoss()
    forward = compiled(peer, network)

    def step():
        optimizer.zero_grad()
        with products(peer, device):
            error = loss(forward(images), targets)
        error.backward()
        optimizer.step()

    return seconds_of(step, samples, device)


def inference(name, batch, samples, peer, device):
    channels_last = peer == "torch-channels-last"
    network, shape, _ = build(name)
    network.eval().to(device)
    images = torch.randn(batch, *shape, device=device) * 60
    if channels_last:
        network, images = network.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    forward = compiled(peer, network)
    with torch.inference_mode(), products(peer, device):
        # Logits are read back, as ours are.
        return seconds_of(lambda: forward(images).cpu(), samples, device)


def onnx_inference(name, batch, samples, threads):
    import onnxruntime

    network, shape, _ = build(name)
    network.eval()
    images = torch.randn(batch, *shape) * 60
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        torch.onnx.export(network, (images,), file.name, input_names=["images"], external_data=False, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(file.name, options, providers=["CPUExecutionProvider"])
    del network
    inputs = {"images": numpy.ascontiguousarray(images.numpy())}
    return seconds_of(lambda: session.run(None, inputs), samples, "cpu")


def matmul_gflops(device):
    left, right = torch.randn(2048, 2048, device=device), torch.randn(2048, 2048, device=device)
    return 2 * 2048**3 / statistics.median(seconds_of(lambda: left @ right, 7, device)) / 1e9


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("network")
    arguments.add_argument("--peer", choices=PEERS, default="torch")
    arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments.add_argument("--batch", type=int, default=128)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--samples", type=int, default=5)
    arguments.add_argument("--infer", action="store_true")
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    if given.peer in ("torch-tf32", "torch-compile"):
        # All that PyTorch can do for such a network in f32: matrix units everywhere, the fastest algorithm found by trial.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    if given.peer == "onnx":
        taken = onnx_inference(given.network, given.batch, given.samples, given.threads)
    elif given.infer:
        taken = inference(given.network, given.batch, given.samples, given.peer, given.device)
    else:
        taken = training(given.network, given.batch, given.samples, given.peer, given.device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    median = statistics.median(taken)
    print(json.dumps({
        "images_per_second": given.batch / median,
        "seconds_per_step": {"median": median, "samples": taken},
        "peak_rss_bytes": peak,
        "matmul_gflops": matmul_gflops(given.device),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
