#!/usr/bin/env python3
"""Tiny valid files that fuzzing starts from; those in corpus/jpeg are made by tests/golden/jpegs.py. Needs Pillow 13.0.0, scipy 1.17.1 (by tests/golden/meta.py), pyarrow 26.0.1."""

import gzip
import io
import pathlib
import struct
import tarfile

import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

CORPUS = pathlib.Path(__file__).with_name("corpus")
GOLDEN = pathlib.Path(__file__).parent.parent / "tests" / "golden"


def put(reader, name, data):
    (CORPUS / reader).mkdir(parents=True, exist_ok=True)
    (CORPUS / reader / name).write_bytes(data)


def encoded(picture, form, **options):
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


x, y = np.meshgrid(np.arange(17), np.arange(13))
picture = Image.fromarray(np.stack([x * 15, y * 19, (x ^ y) * 9], axis=2).astype(np.uint8))
put("image", "baseline.jpg", encoded(picture, "JPEG", quality=75))
put("image", "progressive.jpg", encoded(picture, "JPEG", quality=60, progressive=True))
put("image", "full-colour.jpg", encoded(picture, "JPEG", quality=50, subsampling=0, restart_marker_blocks=2))
put("image", "half-colour.jpg", encoded(picture, "JPEG", quality=70, subsampling=1))
put("image", "grey.jpg", encoded(picture.convert("L"), "JPEG"))
put("image", "cmyk.jpg", encoded(picture.convert("CMYK"), "JPEG"))
exif = Image.Exif()
exif[0x0112] = 6
put("image", "turned.jpg", encoded(picture, "JPEG", quality=40, exif=exif))
put("image", "colour.png", encoded(picture, "PNG"))
put("image", "palette.png", encoded(picture.convert("P"), "PNG"))
put("image", "transparent.png", encoded(picture.convert("RGBA"), "PNG"))
put("image", "deep.png", encoded(Image.fromarray((x * 3000).astype(np.uint16)), "PNG"))
put("image", "colour.bmp", encoded(picture, "BMP"))
put("image", "colour.tiff", encoded(picture, "TIFF", compression="tiff_lzw"))
put("image", "lossless.webp", encoded(picture, "WEBP", lossless=True))
put("image", "lossy.webp", encoded(picture, "WEBP", quality=90))
# 221 colours, so that the palette holds them all; a second frame that nobody reads.
few = picture.quantize(256, Image.Quantize.MAXCOVERAGE)
assert few.convert("RGB").tobytes() == picture.tobytes()
put("image", "two-frames.gif", encoded(few, "GIF", save_all=True, append_images=[Image.new("P", (17, 13))]))

for name, form in [("ustar.tar", tarfile.USTAR_FORMAT), ("gnu.tar", tarfile.GNU_FORMAT), ("pax.tar", tarfile.PAX_FORMAT)]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for path in ["a/1.jpg", "b/" + ("long/" * 30 if form != tarfile.USTAR_FORMAT else "") + "2.jpg", "b/2.cls"]:
            info = tarfile.TarInfo(path)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
    put("tar", name, out.getvalue()[:10240])

put("idx", "images", bytes([3]) + struct.pack(">IIII", 0x0803, 2, 2, 3) + bytes(range(12)))
put("idx", "labels", bytes([1]) + struct.pack(">II", 0x0801, 4) + bytes(range(4)))
put("cifar", "record", bytes([3]) + bytes(3072))
put("cifar", "record-100", bytes([3, 44]) + bytes(3072))
for name in ["batch.python2", "batch.protocol2", "batch.protocol5", "meta100.protocol4", "system"]:
    put("pickle", name, (GOLDEN / "cifar" / name).read_bytes())  # by tests/golden/cifar.py
one, two = gzip.compress(b"one", mtime=0), gzip.compress(b"two", mtime=0)
put("gzip", "two-members.gz", one + two + bytes(16))
put("gzip", "garbage.gz", one + b"x")
put("meta", "meta.mat", (GOLDEN / "meta.mat").read_bytes())
put("index", "rows.tsv", b"key\toffset\tlength\tlabel\tboxes\ntrain/a/1\t512\t9\t0\t1,2,3,4;0,0,8.5,9\ntrain/a/2\t2048\t7\t1\t\n")
put("annotation", "one.xml", b"<annotation><object><name>n01440764</name><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>50</xmax>"
    b"<ymax>60</ymax></bndbox></object></annotation>")

image = [{"bytes": encoded(picture, "JPEG", quality=30), "path": f"{at}.jpg"} for at in range(3)]
table = pyarrow.table({"image": image, "label": [0, 1, 0]})
names = '{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}'
table = table.replace_schema_metadata({"huggingface": names})
for compression in ["none", "snappy", "zstd"]:
    out = io.BytesIO()
    pyarrow.parquet.write_table(table, out, compression=compression)
    put("parquet", f"{compression}.parquet", out.getvalue())
