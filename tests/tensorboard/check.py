#!/usr/bin/env python3
"""TensorBoard's own reader finds in a run's event file what `metrics.jsonl` has.

    pip install tensorboard==2.20.0
    tests/tensorboard/check.py RUN
"""

import json
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = pathlib.Path(sys.argv[1])
rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
events = EventAccumulator(str(run))
events.Reload()
compared = 0
for split in {row["split"] for row in rows}:
    for key in ("loss", "top1_error", "top5_error"):
        expected = [(row["step"], row[key]) for row in rows if row["split"] == split]
        found = [(event.step, event.value) for event in events.Scalars(f"{key}/{split}")]
        assert [step for step, _ in found] == [step for step, _ in expected], (split, key, found)
        # Event files hold f32.
        assert all(abs(a - b) <= 1e-6 * max(1, abs(b)) for (_, a), (_, b) in zip(found, expected)), (split, key)
        compared += len(found)
assert len(events.Scalars("learning_rate")) == sum(row["split"] == "train" for row in rows)
# Of the parameters: a distribution of each and a picture of the first layer's kernels, after the last epoch.
tags = events.Tags()
assert {"conv1.0.weight", "conv1.1.weight", "fc8.0.bias"} <= set(tags["histograms"]), tags["histograms"]
last = max(row["step"] for row in rows if row["split"] == "train")
for tag in tags["histograms"]:
    [event] = events.Histograms(tag)[-1:]
    assert event.step == last and sum(event.histogram_value.bucket) == event.histogram_value.num, tag
[image] = events.Images("kernels/conv1")[-1:]
assert image.step == last and image.encoded_image_string.startswith(b"\x89PNG"), image
names = {node.name for node in events.Graph().node}
assert {"image", "conv1/tower0/convolution", "fc8/linear", "softmax"} <= names, names
print(f"{run.name}: {compared} scalars as in metrics.jsonl, {len(tags['histograms'])} histograms, kernels, a graph of {len(names)} nodes")
