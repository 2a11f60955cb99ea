#!/usr/bin/env python3
"""Makes the golden values that tests compare with, by PyTorch 2.15.0 on the CPU.

    pip install torch==2.15.0 numpy
    python3 tests/golden/make.py

expanded.pth: one number that says it is two thousand million.
two_towers.json: a two-tower network with every operation of the paper's, its logits, loss and all
gradients. two_towers.pth and two_towers-legacy.pth: its weights, in either format of torch.save.
lrn.json: local response normalization in both conventions, even and odd n, on values in
the tens, so that alpha and k matter.
"""
import json
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(2012)
HERE = pathlib.Path(__file__).parent


def flat(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


def lrn(x, size, alpha, beta, k):
    """The plain sum's coefficient is `alpha`: PyTorch divides it by `size`."""
    return F.local_response_norm(x, size, alpha * size, beta, k)


def two_towers():
    """The network of `tests/golden/two_towers.toml`."""
    shapes = {
        "conv1": (6, 3, 5, 5), "conv2": (6, 3, 3, 3), "conv3": (6, 6, 3, 3),
        "fc6": (24, 5), "fc8": (10, 4),
    }
    weights, biases = {}, {}
    for name, shape in shapes.items():
        towers = 1 if name == "fc8" else 2
        for tower in range(towers):
            own = list(shape)
            if name.startswith("conv"):
                own[0] //= 2
                outputs = own[0]
                std = {"conv1": 0.02, "conv2": 0.1, "conv3": 0.1}[name]
            else:
                outputs, std = own[1], 0.3
            weights[f"{name}.{tower}"] = (torch.randn(own) * std).requires_grad_()
            biases[f"{name}.{tower}"] = (torch.randn(outputs) * 0.1 + 0.3).requires_grad_()
    images = (torch.rand(3, 3, 13, 13) - 0.5) * 160
    targets = torch.tensor([2, 0, 3])

    def conv(name, x, tower, **options):
        return F.relu(F.conv2d(x, weights[f"{name}.{tower}"], biases[f"{name}.{tower}"], **options))

    maps = []
    for tower in range(2):
        padded = F.pad(images, (1, 2, 1, 2))
        x = conv("conv1", padded, tower, stride=2)                  # 16 → 6
        x = F.max_pool2d(lrn(x, 5, 1e-3, 0.75, 2.0), 3, 2, ceil_mode=True)   # 6 → 3
        x = conv("conv2", x, tower, padding=1)                      # 3
        maps.append(F.avg_pool2d(x, 3, 2, padding=1, count_include_pad=False))  # 3 → 2
    both = torch.cat(maps, 1)
    units = []
    for tower in range(2):
        x = conv("conv3", both, tower, padding=1)                   # 2
        units.append(x.flatten(1))
    both = torch.cat(units, 1)                                      # 24
    hidden = []
    for tower in range(2):
        hidden.append(F.relu(both @ weights[f"fc6.{tower}"] + biases[f"fc6.{tower}"]))
    hidden = torch.cat(hidden, 1) * 0.5                             # dropout, at test, as in 2012
    logits = hidden @ weights["fc8.0"] + biases["fc8.0"]
    loss = F.cross_entropy(logits, targets)
    loss.backward()
    golden = {
        "torch": torch.__version__,
        "images": flat(images),
        "targets": targets.tolist(),
        "logits": flat(logits),
        "loss": float(loss),
        "parameters": {
            name: {
                "shape": list(weights[name].shape),
                "weight": flat(weights[name]), "bias": flat(biases[name]),
                "weight_gradient": flat(weights[name].grad), "bias_gradient": flat(biases[name].grad),
            }
            for name in weights
        },
    }
    (HERE / "two_towers.json").write_text(json.dumps(golden) + "\n")

    # The same weights as a state dict: a layer is whole, a fully connected one units by inputs.
    state = {}
    for name in shapes:
        parts = [weights[key].detach() for key in weights if key.startswith(name)]
        parts = [part if name.startswith("conv") else part.t() for part in parts]
        state[f"{name}.weight"] = torch.cat(parts, 0).contiguous()
        state[f"{name}.bias"] = torch.cat([biases[key].detach() for key in weights if key.startswith(name)])
    torch.save(state, HERE / "two_towers.pth")
    torch.save(state, HERE / "two_towers-legacy.pth", _use_new_zipfile_serialization=False)


def responses():
    maps = torch.randn(2, 7, 3, 2) * 25
    upstream = torch.randn(2, 7, 3, 2)
    cases = []
    for size in (1, 2, 3, 4, 5, 8, 9):
        for alpha, beta, k in ((1e-4, 0.75, 2.0), (1e-3, 0.75, 1.0), (0.5, 0.5, 0.1)):
            x = maps.clone().requires_grad_()
            y = F.local_response_norm(x, size, alpha, beta, k)
            y.backward(upstream)
            cases.append({"size": size, "alpha": alpha, "beta": beta, "k": k, "output": flat(y), "gradient": flat(x.grad)})
    golden = {"torch": torch.__version__, "maps": flat(maps), "upstream": flat(upstream), "cases": cases}
    (HERE / "lrn.json").write_text(json.dumps(golden) + "\n")


two_towers()
responses()
torch.save({"features.0.weight": torch.zeros(1).expand(1 << 31)}, HERE / "expanded.pth")
