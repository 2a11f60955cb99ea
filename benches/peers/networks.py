"""The networks of our presets, written in PyTorch as a PyTorch user would."""

import torch
from torch import nn


class PaperLrn(nn.Module):
    """LRN as the paper writes it: alpha multiplies the sum; PyTorch's multiplies the mean."""

    def __init__(self):
        super().__init__()
        self.lrn = nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)

    def forward(self, maps):
        # Inside each of the two towers.
        return torch.cat([self.lrn(tower) for tower in maps.chunk(2, 1)], 1)


class Dropout2012(nn.Module):
    """Dropout of 2012: training drops units at this rate, evaluation multiplies all units by the share that is kept."""

    def __init__(self, rate=0.5):
        super().__init__()
        self.kept = 1 - rate

    def forward(self, units):
        if self.training:
            return units * torch.empty_like(units).bernoulli_(self.kept)
        return units * self.kept


def alexnet_2012():
    """Krizhevsky et al. 2012: two towers, which exchange maps at conv3 and at the fully connected layers."""
    relu, pool = lambda: nn.ReLU(inplace=True), lambda: nn.MaxPool2d(3, 2)
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, 4, 2), relu(), PaperLrn(), pool(),
        nn.Conv2d(96, 256, 5, 1, 2, groups=2), relu(), PaperLrn(), pool(),
        nn.Conv2d(256, 384, 3, 1, 1), relu(),
        nn.Conv2d(384, 384, 3, 1, 1, groups=2), relu(),
        nn.Conv2d(384, 256, 3, 1, 1, groups=2), relu(), pool(), nn.Flatten(),
        nn.Linear(9216, 4096), relu(), Dropout2012(),
        nn.Linear(4096, 4096), relu(), Dropout2012(),
        nn.Linear(4096, 1000),
    )  # fmt: skip


def torchvision():
    """torchvision.models.alexnet, without its adaptive pooling, which does nothing at 224 pixels."""
    relu, pool = lambda: nn.ReLU(inplace=True), lambda: nn.MaxPool2d(3, 2)
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), relu(), pool(),
        nn.Conv2d(64, 192, 5, 1, 2), relu(), pool(),
        nn.Conv2d(192, 384, 3, 1, 1), relu(),
        nn.Conv2d(384, 256, 3, 1, 1), relu(),
        nn.Conv2d(256, 256, 3, 1, 1), relu(), pool(), nn.Flatten(), nn.Dropout(),
        nn.Linear(9216, 4096), relu(), nn.Dropout(),
        nn.Linear(4096, 4096), relu(),
        nn.Linear(4096, 1000),
    )  # fmt: skip


class SpatialLrn(nn.Module):
    """cuda-convnet's rnorm: 3 x 3 pixels, clipped at the edges."""

    def forward(self, maps):
        mean = nn.functional.avg_pool2d(maps * maps, 3, 1, 1)
        return maps / (1 + 5e-5 * mean) ** 0.75


def cifar10_18pct():
    """The author's CIFAR-10 net 18pct."""
    relu = lambda: nn.ReLU(inplace=True)
    maximum, average = lambda: nn.MaxPool2d(3, 2, ceil_mode=True), lambda: nn.AvgPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(
        nn.Conv2d(3, 32, 5, 1, 2), maximum(), relu(), SpatialLrn(),
        nn.Conv2d(32, 32, 5, 1, 2), relu(), average(), SpatialLrn(),
        nn.Conv2d(32, 64, 5, 1, 2), relu(), average(), nn.Flatten(),
        nn.Linear(1024, 10),
    )  # fmt: skip


class LocallyConnected(nn.Module):
    """A convolution of 3 x 3 pixels whose kernels and biases differ from position to position."""

    def __init__(self, channels, filters, side):
        super().__init__()
        self.side = side
        # The positions come first: einsum then multiplies without a copy of the weights. The other orders are slower.
        self.weight = nn.Parameter(torch.randn(side * side, 9 * channels, filters) * 0.04)
        self.bias = nn.Parameter(torch.zeros(filters, side * side))

    def forward(self, maps):
        patches = nn.functional.unfold(maps, 3, padding=1)
        outputs = torch.einsum("bkl,lkf->bfl", patches, self.weight) + self.bias
        return outputs.unflatten(2, (self.side, self.side))


def cifar10_conv_local_13pct():
    """The author's CIFAR-10 net conv-local-13pct, with two locally connected layers, for crops of 24 pixels."""
    relu, pool = lambda: nn.ReLU(inplace=True), lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(
        nn.Conv2d(3, 64, 5, 1, 2), relu(), pool(),
        nn.Conv2d(64, 64, 5, 1, 2), relu(), pool(),
        LocallyConnected(64, 32, 6), relu(),
        LocallyConnected(32, 32, 6), relu(), nn.Flatten(),
        nn.Linear(1152, 10),
    )  # fmt: skip


def mini():
    """A two-tower AlexNet for grey images of 28 pixels, this project's own."""
    relu, pool = lambda: nn.ReLU(inplace=True), lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, 2), relu(), PaperLrn(), pool(),
        nn.Conv2d(16, 24, 3, 1, 1, groups=2), relu(), PaperLrn(), pool(),
        nn.Conv2d(24, 48, 3, 1, 1), relu(),
        nn.Conv2d(48, 48, 3, 1, 1, groups=2), relu(),
        nn.Conv2d(48, 32, 3, 1, 1, groups=2), relu(), nn.MaxPool2d(3, 2, 1), nn.Flatten(),
        nn.Linear(128, 256), relu(), Dropout2012(0.2),
        nn.Linear(256, 256), relu(), Dropout2012(0.2),
        nn.Linear(256, 10),
    )  # fmt: skip


# Name, channels and side of the image, classes, parameters: the last so that it is the same network on both sides.
NETWORKS = {
    "alexnet-2012": (alexnet_2012, 3, 224, 1000, 60_965_224),
    "cifar10-18pct": (cifar10_18pct, 3, 32, 10, 89_578),
    "cifar10-conv-local-13pct": (cifar10_conv_local_13pct, 3, 24, 10, 1_116_490),
    "mini": (mini, 1, 28, 10, 131_330),
    "torchvision": (torchvision, 3, 224, 1000, 61_100_840),
}


def build(name):
    """The network, the shape of an image and the number of classes."""
    make, channels, side, classes, parameters = NETWORKS[name]
    network = make()
    found = sum(parameter.numel() for parameter in network.parameters())
    assert found == parameters, f"{name}: {found} parameters, not {parameters}"
    return network, (channels, side, side), classes
