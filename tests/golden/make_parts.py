#!/usr/bin/env python3
"""What PyTorch's optimizers and activations give: parts.json. Needs torch 2.15.0."""

import json
import pathlib

import torch

RATE, MOMENTUM, DECAY, STEPS = 0.05, 0.9, 0.01, 6
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, RATE, MOMENTUM, weight_decay=DECAY),
    "nesterov": lambda p: torch.optim.SGD(p, RATE, MOMENTUM, weight_decay=DECAY, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, RATE, eps=1e-8, weight_decay=DECAY),
    "adamw": lambda p: torch.optim.AdamW(p, RATE, eps=1e-8, weight_decay=DECAY),
    "rmsprop": lambda p: torch.optim.RMSprop(p, RATE, 0.99, 1e-8, DECAY, MOMENTUM),
}


def initial():
    """The weight of 4 × 3 and the bias of 3."""
    return [torch.arange(1, 13).reshape(4, 3) / 10, torch.arange(3) / 10]


def gradient(parameter, step):
    """Depends on the parameter and on the step."""
    places = torch.arange(parameter.numel()).reshape(parameter.shape) % 5 - 2
    return parameter.detach() * 0.3 + places * 0.1 * step


def stepped(make):
    parameters = [torch.nn.Parameter(value) for value in initial()]
    optimizer = make(parameters)
    for step in range(1, STEPS + 1):
        for parameter in parameters:
            parameter.grad = gradient(parameter, step)
        optimizer.step()
    return [parameter.detach().flatten().tolist() for parameter in parameters]


def activation(function):
    inputs = torch.linspace(-6, 6, 49, requires_grad=True)
    outputs = function(inputs)
    outputs.sum().backward()
    return {"outputs": outputs.tolist(), "gradients": inputs.grad.tolist()}


F = torch.nn.functional
calculate = torch.nn.init.calculate_gain
parts = {
    "torch": torch.__version__,
    "optimizers": {name: stepped(make) for name, make in OPTIMIZERS.items()},
    "activations": {
        "leaky-relu": activation(lambda x: F.leaky_relu(x, 0.1)),
        "elu": activation(lambda x: F.elu(x, 1.5)),
        "gelu": activation(lambda x: F.gelu(x, approximate="tanh")),
        "silu": activation(F.silu),
    },
    "gains": {"relu": calculate("relu"), "tanh": calculate("tanh"), "sigmoid": calculate("sigmoid"),
              "leaky-relu": calculate("leaky_relu", 0.1)},
}
pathlib.Path(__file__).with_name("parts.json").write_text(json.dumps(parts, indent=1) + "\n")
