"""Versions through a real worker: what is appended is read, and what was computed for the rows before is not computed again."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from headstart.client import Headstart
from headstart.errors import BadInput


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_version_with_more_rows_is_read_compared_and_learnt_from_with_the_features_that_are_there(client: Headstart, few_tweets: Path):
    rows = rows_of(few_tweets)
    text, label = list(rows[0])[:2] if "text" not in rows[0] else ("text", "label")
    first = client.upload(few_tweets, name="growing", resumable=True, progress=False)
    assert (first.status, first.rows, first.parent) == ("ready", len(rows), None)
    client.adapt(first, text=text, target=label, model="growing").wait(progress=False)
    more = [{text: f"{row[text]} indeed", label: row[label]} for row in rows[:40]]
    second = client.append(first, more)
    assert (second.name, second.version, second.rows) == ("growing", 2, len(rows) + 40)
    shown = client.list_dataset_rows(second.id, limit=2).data
    assert [row.values[text] for row in shown] == [row[text] for row in rows[:2]]
    job = client.adapt(second, text=text, target=label, model="growing").wait(progress=False)
    cache = client.get_job_report(job.id).cache
    assert (cache["rows_reused"], cache["rows_computed"]) == (len({row[text] for row in rows}), len({row[text] for row in more}))
    diff = client.get_dataset_diff(second.id)
    assert (diff.against, diff.rows.added, diff.rows.unchanged, diff.rows.removed) == (first.id, 40, len(rows), 0)
    assert diff.added[0] == len(rows) + 1


@pytest.mark.slow
def test_rows_that_do_not_fit_are_told_by_their_number_and_the_version_is_invalid(client: Headstart):
    made = client.upload([{"id": str(number), "label": "ab"[number % 2]} for number in range(10)], name="keyed")
    replaced = client.append(made, [{"id": "3", "label": "a"}], key="id")
    assert (replaced.rows, replaced.parent and replaced.parent.how) == (10, "replace")
    with pytest.raises(BadInput) as caught:
        client.append(replaced, [{"id": "4", "label": "a"}, {"id": "4", "label": "b"}], key="id")
    assert (caught.value.code, [fault.row for fault in caught.value.faults]) == ("duplicate_key", [2])
