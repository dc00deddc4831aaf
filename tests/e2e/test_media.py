"""Images and recordings through the whole service: a folder on a disk, read by a real worker, described."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.client import Headstart
from headstart.errors import BadInput
from tests.data.media_files import archive, image, recording


def test_a_folder_of_images_is_uploaded_read_and_shown(client: Headstart, tmp_path: Path):
    for split, label, number in [("train", "cat", 1), ("train", "dog", 2), ("test", "dog", 3)]:
        path = tmp_path / "pets" / split / label / f"{number}.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(image(number, (20, 10)))
    dataset = client.upload(tmp_path / "pets")
    assert (dataset.name, dataset.format, dataset.status, dataset.rows) == ("pets", "zip", "ready", 3)
    assert dataset.columns is not None
    assert [(column.name, column.type) for column in dataset.columns] == [("image", "image"), ("label", "text"), ("split", "text")]
    rows = [row.values for row in client.list_dataset_rows(dataset.id).data]
    assert [(row["label"], row["split"]) for row in rows] == [("dog", "test"), ("cat", "train"), ("dog", "train")]
    assert str(rows[0]["image"]).startswith("PNG image, 20×10, ")
    assert client.get_dataset_profile(dataset.id).columns[0].mean_pixels == 200


def test_a_zip_of_recordings_is_read_or_refused_with_the_row(client: Headstart, tmp_path: Path):
    good, bad = tmp_path / "sounds.zip", tmp_path / "broken.zip"
    table = b"file_name,digit\na.wav,0\nb.wav,1\n"
    good.write_bytes(archive({"a.wav": recording(1), "b.wav": recording(2), "metadata.csv": table}))
    assert client.get_dataset_profile(client.upload(good).id).columns[0].mean_seconds == pytest.approx(0.1)
    bad.write_bytes(archive({"a.wav": recording(1), "b.wav": recording(2)[:20], "metadata.csv": table}))
    with pytest.raises(BadInput) as caught:
        client.upload(bad)
    assert (caught.value.code, [fault.row for fault in caught.value.faults]) == ("bad_audio", [2])
