"""Writes meta.mat, a small table of classes in the form of ILSVRC-2012's development kit: an array of structures whose
numbers are not in the order of the WordNet ids, with an inner node behind the classes. Needs scipy 1.17.1."""

import pathlib

import numpy as np
from scipy.io import savemat

ROWS = [
    (1, "n02119789", "kit fox, Vulpes macrotis", "small fox", 0, [], 0, 1300),
    (2, "n01440764", "tench, Tinca tinca", "freshwater fish", 0, [], 0, 1300),
    (3, "n02100735", "English setter", "white dog", 0, [], 0, 1300),
    (4, "n01443537", "goldfish, Carassius auratus", "small golden fish", 0, [], 0, 1300),
    (1001, "n02084071", "dog, domestic dog, Canis familiaris", "a member of the genus Canis", 2, [1, 3], 1, 0),
]
FIELDS = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images"]

synsets = np.zeros((len(ROWS), 1), dtype=[(field, object) for field in FIELDS])
for at, row in enumerate(ROWS):
    for field, value in zip(FIELDS, row):
        synsets[at, 0][field] = np.float64(value) if isinstance(value, int) else value
savemat(pathlib.Path(__file__).with_name("meta.mat"), {"synsets": synsets}, do_compression=True)
