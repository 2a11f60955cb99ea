"""JPEGs of every kind, small, and what Pillow makes of them. The files go to fuzz/corpus/jpeg, where fuzzing starts from
them too; jpegs.tsv has name, width, height and the CRC-32 of all pixels (red, green, blue, by rows), or `refused`.

    python tests/golden/jpegs.py

Made with Pillow 13.0.0, numpy 2.4.6, and `cjpeg` and `jpegtran` of libjpeg-turbo 2.1.5 (Debian's libjpeg-turbo-progs).
The pictures are made by formulas."""

import io
import pathlib
import struct
import subprocess
import zlib

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__)
OUT = HERE.parent.parent.parent / "fuzz" / "corpus" / "jpeg"
WIDTH, HEIGHT = 51, 37


def picture(width=WIDTH, height=HEIGHT):
    """Smooth colours, an edge, and a fine pattern in a corner."""
    y, x = np.mgrid[:height, :width]
    edge = 70 * (np.hypot(x - width / 2, y - height / 2) < height / 4)
    grain = (x * 37 + y * 91) % 64 * (x > 0.7 * width)
    rgb = np.stack([x * 200 / width + grain, y * 170 / height + edge, (width - x) * 120 / width + edge + grain / 2], 2)
    return Image.fromarray(rgb.astype(np.uint8))


def encoded(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **{"quality": 75, **options})
    return out.getvalue()


def cjpeg(*options, image=None):
    ppm = io.BytesIO()
    (image or picture()).save(ppm, "PPM")
    return subprocess.run(["cjpeg", *options], input=ppm.getvalue(), stdout=subprocess.PIPE, check=True).stdout


def jpegtran(jpeg, *options):
    return subprocess.run(["jpegtran", *options], input=jpeg, stdout=subprocess.PIPE, check=True).stdout


def segments(jpeg):
    """The marker segments up to the first scan, and everything from there."""
    at, found = 2, []
    while jpeg[at + 1] != 0xDA:
        length = struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
        found.append(jpeg[at : at + 2 + length])
        at += 2 + length
    return found, jpeg[at:]


def joined(parts, rest):
    return b"\xff\xd8" + b"".join(parts) + rest


def marker(segment):
    return segment[1]


def with_adobe(jpeg, transform):
    """An Adobe segment behind JFIF's."""
    parts, rest = segments(jpeg)
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
    return joined(parts[:1] + [adobe] + parts[1:], rest)


def with_ids(jpeg, ids):
    """Other component ids in frame and scan."""
    parts, rest = segments(jpeg)
    parts = [bytearray(part) for part in parts]
    for part in parts:
        if marker(part) in (0xC0, 0xC1, 0xC2):
            for at, name in enumerate(ids):
                part[10 + 3 * at] = name
    rest = bytearray(rest)
    for at, name in enumerate(ids):
        rest[5 + 2 * at] = name
    return joined(parts, bytes(rest))


def with_sampling(jpeg, factors):
    """Other sampling factors in the frame: for files that claim what they are not."""
    parts, rest = segments(jpeg)
    parts = [bytearray(part) for part in parts]
    for part in parts:
        if marker(part) in (0xC0, 0xC1):
            for at, factor in enumerate(factors):
                part[11 + 3 * at] = factor
    return joined(parts, rest)


def without_tables(jpeg):
    """Without Huffman tables, as webcams send frames: the standard ones are meant."""
    parts, rest = segments(jpeg)
    return joined([part for part in parts if marker(part) != 0xC4], rest)


def stray_before(jpeg, kind):
    """Two stray bytes before a marker."""
    parts, rest = segments(jpeg)
    if kind == 0xDA:
        return joined(parts, b"\x12\x34" + rest)
    at = next(at for at, part in enumerate(parts) if marker(part) == kind)
    return joined(parts[:at] + [b"\x12\x34"] + parts[at:], rest)


def with_transform(jpeg, transform):
    """Another transform in the Adobe segment that is there."""
    at = jpeg.index(b"Adobe") + 11
    return jpeg[:at] + bytes([transform]) + jpeg[at + 1 :]


def without_adobe(jpeg):
    parts, rest = segments(jpeg)
    return joined([part for part in parts if marker(part) != 0xEE], rest)


rgb = picture()
OUT.mkdir(exist_ok=True)
for old in OUT.iterdir():
    old.unlink()
scans = OUT / "scans.txt"
scans.write_text("0;\n1;\n2;\n")
half = encoded(rgb, subsampling=2)
cmyk = encoded(rgb.convert("CMYK"), quality=40)
files = {
    "baseline": half,
    "full-colour": encoded(rgb, subsampling=0),
    "half-across": encoded(rgb, subsampling=1),
    "half-down": cjpeg("-sample", "1x2"),
    "third-across": cjpeg("-sample", "3x1"),
    "quarter-across": cjpeg("-sample", "4x1"),
    "grey": encoded(rgb.convert("L")),
    "grey-sampled": cjpeg("-sample", "2x2", image=rgb.convert("L")),
    "progressive": encoded(rgb, progressive=True),
    "progressive-grey": encoded(rgb.convert("L"), progressive=True),
    "optimized": encoded(rgb, optimize=True),
    "restarts": encoded(rgb, restart_marker_blocks=2),
    "restarts-progressive": cjpeg("-progressive", "-restart", "3B"),
    "cmyk": cmyk,
    "cmyk-unnamed": without_adobe(cmyk),
    "ycck": with_transform(cmyk, 2),
    "rgb": encoded(rgb, keep_rgb=True),
    "rgb-half": cjpeg("-rgb", "-sample", "2x2"),
    "scans": cjpeg("-scans", str(scans), "-sample", "2x2"),
    "scans-full-colour": cjpeg("-scans", str(scans), "-sample", "1x1"),
    "scans-restarts": cjpeg("-scans", str(scans), "-sample", "2x1", "-restart", "2B"),
    "arithmetic": jpegtran(half, "-arithmetic"),
    "arithmetic-progressive": jpegtran(half, "-arithmetic", "-progressive"),
    "jfif-adobe0": with_adobe(half, 0),
    "jfif-adobe0-progressive": with_adobe(encoded(rgb, progressive=True), 0),
    "jfif-ids-rgb": with_ids(half, b"RGB"),
    "no-tables": without_tables(half),
    "stray-before-dqt": stray_before(half, 0xDB),
    "stray-before-sos": stray_before(half, 0xDA),
    "narrow": encoded(picture(3, 40), subsampling=2),
    "flat": encoded(picture(40, 1), subsampling=2),
    # Wide enough for a part of the columns to be decoded alone.
    "wide": encoded(picture(400, 20), subsampling=2, quality=60),
    "wide-half-across": encoded(picture(400, 20), subsampling=1, quality=60),
    "wide-half-down": cjpeg("-sample", "1x2", "-quality", "60", image=picture(400, 20)),
    "wide-grey": encoded(picture(400, 20).convert("L"), quality=60),
    "wide-scans": cjpeg("-scans", str(scans), "-sample", "2x2", "-quality", "60", image=picture(400, 20)),
    "wide-progressive": encoded(picture(400, 20), progressive=True, quality=60),
}
scans.write_text("0 1 2: 0 0, 0, 2;\n0: 1 63, 0, 3;\n")
files["progressive-unfinished"] = cjpeg("-scans", str(scans), "-sample", "2x2")
scans.unlink()
refused = {
    # Of the same number of blocks a unit as 2x2, 1x1, 1x1; libjpeg reads it.
    "luma-smaller": with_sampling(half, [0x11, 0x22, 0x11]),
    "no-end": half[:-2],
    "cut-short": half[: len(half) * 2 // 3],
    "cut-short-progressive": files["progressive"][: len(files["progressive"]) * 2 // 3],
    "no-frame": half[:20] + b"\xff\xd9",
}

rows = []
for name, jpeg in files.items():
    (OUT / f"{name}.jpg").write_bytes(jpeg)
    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    rows.append(f"{name}\t{image.width}\t{image.height}\t{zlib.crc32(image.tobytes()):08x}\n")
for name, jpeg in refused.items():
    (OUT / f"{name}.jpg").write_bytes(jpeg)
    rows.append(f"{name}\trefused\n")
HERE.with_suffix(".tsv").write_text("".join(rows))
print(sum(path.stat().st_size for path in OUT.iterdir()), "bytes")
