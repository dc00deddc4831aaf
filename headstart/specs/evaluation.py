"""Evaluation: which rows a job trains, validates and tests on, and what its model is compared with."""

from __future__ import annotations

from pydantic import Field

from headstart.specs.fields import ColumnName, Input


class Evaluation(Input):
    """Who trains, who validates, who tests. At most one of `split_column`, `group_column` and `time_column` is given; without any, rows are
    dealt out by the seed, alike for each class (or label, or range of a number) of the first task that a row is labelled for."""

    split_column: ColumnName | None = Field(default=None, description="A column of train | validation | test; null: split by seed.")
    group_column: ColumnName | None = Field(
        default=None,
        description="Rows with the same value here stay on one side: one patient's images, one speaker's recordings, one author's texts. Rows "
        "without a value are left out.",
        examples=["patient"],
    )
    time_column: ColumnName | None = Field(
        default=None,
        description="The oldest rows train and the newest test; rows of one time stay on one side. ISO 8601 (UTC where no zone is given), or "
        "numbers. Rows without a value are left out.",
        examples=["written_at"],
    )
    validation_size: float = Field(default=0.1, gt=0, lt=1, description="Share of the rows; with `folds`, of those that do not test.")
    test_size: float = Field(default=0.2, gt=0, lt=1, description="Share of the rows; `folds` replace it.")
    folds: int | None = Field(
        default=None,
        ge=2,
        le=20,
        description="Cross-validation: the rows are dealt into so many folds, alike in classes, groups kept together, and each fold tests once "
        "what was trained on the others. By time, each fold tests what was trained on the rows before it. The model is that of the first fold; the "
        "report has the metrics of all. Null: one split.",
        examples=[5],
    )
    baselines: bool = Field(default=True, description="Whether the report says what simple models reach on the same rows.")
    single_task: bool = Field(
        default=False,
        description="With several tasks: whether each is also trained alone, so that the report says what learning together gave.",
    )
