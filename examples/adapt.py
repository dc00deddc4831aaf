"""Adapt a pretrained model to any CSV: `python examples/adapt.py reviews.csv --text review --target label "great film"`."""

from __future__ import annotations

import argparse

from headstart.client import Headstart

parser = argparse.ArgumentParser(description="Upload a CSV, learn its labels, and ask about texts.")
parser.add_argument("file", help="a CSV, JSONL or Parquet file")
parser.add_argument("texts", nargs="*", help="texts to ask about")
parser.add_argument("--text", default="text", help="the column that holds the text")
parser.add_argument("--target", default="label", help="the column that holds the label")
parser.add_argument("--backbone", default="demo:minilm-l6", help="a backbone's name or source")
options = parser.parse_args()

with Headstart() as client:  # HEADSTART_URL and HEADSTART_KEY, or what `headstart up` wrote
    dataset = client.upload(options.file)
    job = client.adapt(dataset, text=options.text, target=options.target, backbone=options.backbone, wait=True)
    for name, task in job.report().tasks.items():
        print(f"{name}: accuracy {task.metrics['accuracy']:.3f}, majority class {task.baselines['majority']['accuracy']:.3f}")
    model = job.model()
    if options.texts:
        for text, row in zip(options.texts, model.predict(options.texts).data, strict=True):
            print(text, {name: (output.label, round(output.score, 3)) for name, output in row.outputs.items()})
    print(f"The model is {model.reference}.")
