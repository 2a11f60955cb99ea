"""What libjpeg makes of small JPEGs: decoded.bin, red, green and blue of 17 x 13 pixels each, in the order of NAMES. Made
with Pillow 13.0.0 (libjpeg-turbo) from fuzz/corpus/image, which fuzz/make_corpus.py makes."""

import pathlib

from PIL import Image

NAMES = ["baseline.jpg", "full-colour.jpg", "half-colour.jpg", "grey.jpg", "turned.jpg"]
HERE = pathlib.Path(__file__).parent
corpus = HERE.parent.parent / "fuzz" / "corpus" / "image"
(HERE / "decoded.bin").write_bytes(b"".join(Image.open(corpus / name).convert("RGB").tobytes() for name in NAMES))
