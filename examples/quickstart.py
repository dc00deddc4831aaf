"""From labelled tweets to an answering model, against the service that `headstart up` started: `python examples/quickstart.py`.

Run again, it takes the dataset and the model that are there.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from headstart.client import Headstart
from headstart.client.credentials import credentials_file
from headstart.demos import dataset_file, default_assets_root
from headstart.errors import HeadstartError, NotFound
from headstart.specs.models import ModelVersion

NAME = "tweets"
TEXTS = ("I love this phone, best day ever!", "Worst service I have ever had, never again.", "The meeting starts at ten.")


def main() -> int:
    parser = argparse.ArgumentParser(description="Adapt MiniLM to the demo tweets and ask it three things.")
    parser.add_argument("--home", type=Path, help="home of the installation (default: HEADSTART_HOME or ~/.headstart)")
    parser.add_argument("--data", type=Path, help="a CSV with columns text and label (default: the demo tweets)")
    options = parser.parse_args()
    try:
        with Headstart(home=options.home) as client:
            version = find_version(client) or make_version(client, options.data or dataset_file(default_assets_root(), NAME))
            show_worth(client, version)
            show_predictions(client)
            show_next(client, options.home)
    except HeadstartError as error:
        print(f"{error}\n({error.code})", file=sys.stderr)
        return 1
    return 0


def find_version(client: Headstart) -> ModelVersion | None:
    """The newest version from an earlier run."""
    try:
        version = client.get_model_version(NAME, client.get_model(NAME).latest)
    except NotFound:
        return None
    print(f"The model {NAME}:{version.version} is there from an earlier run; it is taken.")
    return version


def make_version(client: Headstart, path: Path) -> ModelVersion:
    """Upload, adapt with a progress bar, and give back what came out."""
    dataset = client.find_dataset(NAME)
    if dataset is not None and dataset.status == "ready":
        print(f"The dataset {NAME}:{dataset.version} is there from an earlier run; it is taken.")
    else:
        print(f"Uploading {path} …")
        dataset = client.upload(path, name=NAME)
    print(f"Dataset {NAME}:{dataset.version} is ready: {dataset.rows} rows. Adapting demo:minilm-l6 …")
    job = client.adapt(dataset, text="text", target="label", backbone="demo:minilm-l6", model=NAME, wait=True)
    seconds = job.job.seconds
    print(f"Done: features {seconds.features:.1f} s, head {seconds.training:.1f} s.")
    return client.get_model_version(NAME, client.get_model(NAME).latest)


def show_worth(client: Headstart, version: ModelVersion) -> None:
    for name, task in client.get_job_report(version.job).tasks.items():
        accuracy, majority = task.metrics["accuracy"], task.baselines["majority"]["accuracy"]
        print(f"\nOn {task.rows} test rows, task {name}: accuracy {accuracy:.3f}; always the commonest class: {majority:.3f}.")


def show_predictions(client: Headstart) -> None:
    for text, row in zip(TEXTS, client.model(NAME).predict(TEXTS, top_k=1).data, strict=True):
        for output in row.outputs.values():
            print(f"  {output.label:<10} {output.score:.2f}  {text}")


def show_next(client: Headstart, home: Path | None) -> None:
    where = f" --home {home}" if home is not None else ""
    command = "headstart" if shutil.which("headstart") else str(Path(sys.executable).with_name("headstart"))
    print(f"\nPages:  {client.url}/docs")
    print(f"Key:    {credentials_file(home)}")
    print("Next:")
    print(f'  {command}{where} predict {NAME} "your own text"')
    print(f"  {command}{where} datasets upload yours.csv")
    print(f"  {command}{where} jobs create --dataset yours --text TEXT_COLUMN --target LABEL_COLUMN --wait")
    print(f"  {command} down{where}")


if __name__ == "__main__":
    sys.exit(main())
