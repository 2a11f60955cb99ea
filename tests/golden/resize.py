"""What Pillow, and so torchvision, makes of photographs: shorter side to 256, centre 256 x 256. Of each, 64 pixels are
kept in resize.bin (64 x 3 bytes a photograph, in the order of their names): enough to compare with, not to see. And what
it makes of a picture by a formula, of several shapes, made smaller and larger: resize_made.tsv has width, height, side
and the CRC-32 of the centre square's pixels. Tall pictures are there because Pillow 13 scales some of them down before
across.

    python tests/golden/resize.py imagenet-samples.tar

Made with Pillow 13.0.0 and numpy 2.4.6; torchvision 0.29.2 gives the same."""

import io
import pathlib
import sys
import tarfile
import zlib

import numpy
from PIL import Image

SAMPLES = 64
SHAPES = [(305, 200), (200, 305), (90, 400), (400, 90), (90, 181), (91, 300), (60, 60), (120, 500)]
SIDES = [48, 90, 100, 300]
HERE = pathlib.Path(__file__)


def square(image, side):
    """torchvision's Resize(side) and CenterCrop(side)."""
    width, height = image.size
    short = min(width, height)
    image = image.resize((side * width // short, side * height // short), Image.Resampling.BILINEAR)
    left, top = (round((whole - side) / 2) for whole in image.size)
    return numpy.asarray(image.crop((left, top, left + side, top + side)))


def made(width, height):
    y, x = numpy.mgrid[:height, :width]
    channels = [(x * 7 + y * 3) % 256, x * y // 16 % 256, (x ^ y) * 5 % 256]
    return Image.fromarray(numpy.stack(channels, 2).astype(numpy.uint8))


rows = []
for width, height in SHAPES:
    for side in SIDES:
        rows.append(f"{width}\t{height}\t{side}\t{zlib.crc32(square(made(width, height), side).tobytes()):08x}\n")
HERE.with_name("resize_made.tsv").write_text("".join(rows))

out = bytearray()
with tarfile.open(sys.argv[1]) as tar:
    members = sorted((member for member in tar if member.isfile()), key=lambda member: member.name)
    for at, member in enumerate(members):
        image = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
        flat = square(image, 256).reshape(256 * 256, 3)
        places = [(at * 7919 + sample * 104729) % 65536 for sample in range(SAMPLES)]
        out += flat[places].tobytes()
HERE.with_name("resize.bin").write_bytes(out)
