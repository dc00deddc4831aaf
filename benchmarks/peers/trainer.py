"""transformers' `Trainer` on a table with a split column: dynamic padding, batches of like length, bfloat16 where it is faster.

    python -m benchmarks.peers.trainer TABLE BACKBONE --train head|top2|full --epochs N --seed N

Prints `{"seconds": …, "accuracy": …, "dtype": …}`; seconds are those of `Trainer.train()` alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments
from transformers.utils import logging

RATES = {"head": 1e-2, "top2": 1e-4, "full": 5e-5}
TRIAL_STEPS = 8


class Rows(torch.utils.data.Dataset[dict[str, Any]]):
    def __init__(self, tokenizer: Any, texts: list[str], labels: list[int]) -> None:  # noqa: ANN401 - transformers is untyped
        ids = tokenizer(texts, truncation=True)["input_ids"]
        self.rows = [{"input_ids": row, "label": label} for row, label in zip(ids, labels, strict=True)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return self.rows[number]


def read(path: Path, text: str, target: str) -> tuple[dict[str, list[tuple[str, str]]], list[str]]:
    """(text, label) of each split, and the labels in order."""
    parts: dict[str, list[tuple[str, str]]] = {"train": [], "validation": [], "test": []}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            parts[row["split"]].append((row[text], row[target]))
    return parts, sorted({label for rows in parts.values() for _, label in rows})


def model_for(backbone: str, classes: int, train: str, seed: int) -> Any:  # noqa: ANN401
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(backbone, num_labels=classes)
    if train != "full":
        body = model.base_model
        learning = [] if train == "head" else [*body.encoder.layer[-2:], body.pooler]
        body.requires_grad_(requires_grad=False)
        for part in learning:
            part.requires_grad_(requires_grad=True)
    return model


def trainer(model: Any, tokenizer: Any, rows: Rows, given: argparse.Namespace, folder: str, *, bf16: bool, steps: int = -1) -> Trainer:  # noqa: ANN401
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=given.epochs,
        max_steps=steps,
        per_device_train_batch_size=32,
        per_device_eval_batch_size=64,
        learning_rate=RATES[given.train],
        warmup_steps=0.1,
        weight_decay=0.01,
        train_sampling_strategy="group_by_length",
        optim="adamw_torch_fused",
        bf16=bf16,
        use_cpu=True,
        seed=given.seed,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        dataloader_pin_memory=False,
    )
    return Trainer(model=model, args=arguments, train_dataset=rows, data_collator=DataCollatorWithPadding(tokenizer))


def seconds_of(work: Trainer) -> float:
    started = time.perf_counter()
    work.train()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", type=Path)
    parser.add_argument("backbone")
    parser.add_argument("--train", choices=RATES, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--text", default="text")
    parser.add_argument("--target", default="label")
    given = parser.parse_args()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    parts, labels = read(given.table, given.text, given.target)
    tokenizer = AutoTokenizer.from_pretrained(given.backbone)
    sets = {
        name: Rows(tokenizer, [text for text, _ in rows], [labels.index(label) for _, label in rows])
        for name, rows in parts.items()
        if rows
    }
    with tempfile.TemporaryDirectory() as folder:

        def make(*, bf16: bool, steps: int = -1) -> Trainer:
            return trainer(
                model_for(given.backbone, len(labels), given.train, given.seed),
                tokenizer,
                sets["train"],
                given,
                folder,
                bf16=bf16,
                steps=steps,
            )

        trials = {bf16: seconds_of(make(bf16=bf16, steps=TRIAL_STEPS)) for bf16 in (False, True)}
        bf16 = trials[True] < trials[False]
        work = make(bf16=bf16)
        seconds = seconds_of(work)
        told = work.predict(sets["test"])  # in an order of its own; labels come along
    accuracy = float((np.argmax(np.asarray(told.predictions), axis=1) == told.label_ids).mean())
    print(json.dumps({"seconds": round(seconds, 3), "accuracy": accuracy, "dtype": "bfloat16" if bf16 else "float32"}))


if __name__ == "__main__":
    main()
