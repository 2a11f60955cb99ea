"""What torchvision makes of photographs: shorter side to 256, centre 256 x 256. Of each, 64 pixels are kept in resize.bin
(64 x 3 bytes a photograph, in the order of their names): enough to compare with, not to see. And what it makes of a picture
by a formula, 305 x 200 pixels: shorter side to 48, centre 48 x 48, all of it in resize_made.bin.

    python tests/golden/resize.py imagenet-samples.tar

Made with torch 2.15.0, torchvision 0.29.2."""

import pathlib
import sys
import tarfile

import torch
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import functional

SAMPLES = 64
out = bytearray()
with tarfile.open(sys.argv[1]) as tar:
    members = sorted((member for member in tar if member.isfile()), key=lambda member: member.name)
    for at, member in enumerate(members):
        data = torch.frombuffer(bytearray(tar.extractfile(member).read()), dtype=torch.uint8)
        image = decode_jpeg(data, mode=ImageReadMode.RGB)
        image = functional.center_crop(functional.resize(image, 256, antialias=True), 256)
        flat = image.reshape(3, 256 * 256)
        places = [(at * 7919 + sample * 104729) % 65536 for sample in range(SAMPLES)]
        out += bytes(flat[:, places].T.reshape(-1).tolist())
pathlib.Path(__file__).with_name("resize.bin").write_bytes(out)

y, x = torch.meshgrid(torch.arange(200), torch.arange(305), indexing="ij")
made = torch.stack([(x * 7 + y * 3) % 256, x * y // 16 % 256, (x ^ y) * 5 % 256]).to(torch.uint8)
made = functional.center_crop(functional.resize(made, 48, antialias=True), 48)
pathlib.Path(__file__).with_name("resize_made.bin").write_bytes(bytes(made.permute(1, 2, 0).reshape(-1).tolist()))
