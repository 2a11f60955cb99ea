"""What torchvision makes of photographs that Pillow opened: shorter side to 256, centre 256 x 256. Of each, 64 pixels are
kept in resize.bin (64 x 3 bytes a photograph, in the order of their names): enough to compare with, not to see. And what it
makes of a picture by a formula, 305 x 200 pixels: shorter side to 48, centre 48 x 48, all of it in resize_made.bin; and to
300, enlarged, of which it keeps every 97th byte in resize_enlarged.bin.

    python tests/golden/resize.py imagenet-samples.tar

Made with torchvision 0.29.2, Pillow 13.0.0."""

import io
import pathlib
import sys
import tarfile

import numpy
from PIL import Image
from torchvision.transforms.v2 import functional

SAMPLES = 64
HERE = pathlib.Path(__file__)


def square(image, side):
    return numpy.asarray(functional.center_crop(functional.resize(image, [side], antialias=True), [side, side]))


out = bytearray()
with tarfile.open(sys.argv[1]) as tar:
    members = sorted((member for member in tar if member.isfile()), key=lambda member: member.name)
    for at, member in enumerate(members):
        image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
        flat = square(image, 256).reshape(256 * 256, 3)
        places = [(at * 7919 + sample * 104729) % 65536 for sample in range(SAMPLES)]
        out += flat[places].tobytes()
HERE.with_name("resize.bin").write_bytes(out)

y, x = numpy.mgrid[:200, :305]
made = numpy.stack([(x * 7 + y * 3) % 256, x * y // 16 % 256, (x ^ y) * 5 % 256], 2).astype(numpy.uint8)
made = Image.fromarray(made)
HERE.with_name("resize_made.bin").write_bytes(square(made, 48).tobytes())
HERE.with_name("resize_enlarged.bin").write_bytes(square(made, 300).tobytes()[::97])
