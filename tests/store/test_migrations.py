"""The schema of the models and the schema that migrating makes are one, and migrating is safe to do at any moment."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import JSON, Connection, Engine, String, column, func, insert, inspect, select, table, text, update

from headstart.errors import Conflict, Unavailable
from headstart.specs.backbones import Anatomy
from headstart.specs.datasets import Parent
from headstart.specs.plans import Plan
from headstart.store import backbones, caches, datasets, idempotency, jobs, keys, models, workers
from headstart.store.database import Database
from headstart.store.migrate import alembic_config, migrate
from headstart.store.tables import Dataset, Job, Table
from tests.planning.factories import HARDWARE
from tests.store.databases import open_quick
from tests.store.world import NOW, add_backbone, add_dataset, add_job, add_model, add_upload, add_workspace

MIGRATE = """
import sys
from headstart.store.database import Database
from headstart.store.migrate import migrate
print("ready", flush=True)
sys.stdin.readline()
database = Database(sys.argv[1])
migrate(database)
database.close()
"""


@pytest.fixture
def database(empty_url: str) -> Iterator[Database]:
    database = open_quick(empty_url)
    yield database
    database.close()


def fill(database: Database) -> None:
    """At least one row in every table."""
    with database.write() as session:
        workspace = add_workspace(session)
        add_model(session, workspace)
        models.put_alias(session, models.get_model(session, workspace, "reviews"), "prod", 1)
        add_job(session, workspace, others=[add_dataset(session, workspace, name="tweets")])
        keys.create_key(session, workspace_id=workspace, name="ci", scopes=["read"], expires_at=None, now=NOW)
        workers.register_worker(session, "worker", host="here", hardware=HARDWARE, now=NOW)
        caches.record(session, "cache", host="here", budget_bytes=1, keys={}, workspaces={}, started_at=NOW, now=NOW)
        add_upload(session, workspace)
        request = idempotency.Request(workspace, "POST /v1/jobs", "key", "0" * 64)
        idempotency.answer_once(session, request, lambda: idempotency.Answer(201, "{}"), now=NOW)


def counts(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in Table.metadata.sorted_tables}


def differences(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, Table.metadata))


def checks(engine: Engine) -> dict[str, set[str | None]]:
    """CHECK constraints by table: autogenerate does not compare them."""
    inspector = inspect(engine)
    return {table: {check["name"] for check in inspector.get_check_constraints(table)} for table in Table.metadata.tables}


def test_the_migrated_schema_is_that_of_the_models(database):
    migrate(database)
    assert differences(database.engine) == []
    migrated = checks(database.engine)
    with database.engine.begin() as connection:
        _downgrade(connection)
        Table.metadata.create_all(connection)
    assert migrated == checks(database.engine)
    assert migrated["jobs"]


def test_with_data_in_every_table_it_goes_down_and_up_again(database):
    migrate(database)
    fill(database)
    assert all(counts(database).values()), counts(database)
    with database.engine.begin() as connection:
        _downgrade(connection)
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
    migrate(database)
    assert differences(database.engine) == []
    assert not any(counts(database).values())
    fill(database)


@pytest.mark.parametrize(
    ("revision", "later"),
    [
        ("0007", {"job_datasets"}),
        ("0006", {"job_datasets", "uploads"}),
        ("0005", {"job_datasets", "uploads"}),
        ("0003", {"job_datasets", "uploads", "caches"}),
        ("0002", {"job_datasets", "uploads", "caches", "log_lines"}),
        ("0001", {"job_datasets", "uploads", "caches", "log_lines"}),
    ],
)
def test_some_steps_down_and_up_again_keep_every_row_of_the_tables_that_were_there(database, revision, later):
    migrate(database)
    fill(database)
    before = counts(database)
    with database.read() as session:
        plans = [Plan.model_validate(plan) for plan in session.scalars(select(Job.plan))]
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), revision)
        assert set(inspect(connection).get_table_names()) == before.keys() - later | {"alembic_version"}
    migrate(database)
    assert counts(database) == before | dict.fromkeys(later, 0)
    assert differences(database.engine) == []
    with database.read() as session:
        kept = [Plan.model_validate(plan) for plan in session.scalars(select(Job.plan))]
    assert kept == [plan.model_copy(update={"tasks": [task.model_copy(update={"dataset": None}) for task in plan.tasks]}) for plan in plans]


def test_an_older_release_knows_no_dataset_of_a_task_and_an_unfinished_job_on_several_has_failed_there(database):
    migrate(database)
    with database.write() as session:
        workspace = add_workspace(session)
        one, two = (add_dataset(session, workspace, name=name) for name in ("one", "two"))
        several, single = (add_job(session, workspace, dataset=one, others=others) for others in ([two, one], [one]))
        several.report = {"tasks": {"label": {"dataset": "two:1", "rows": 3}}, "actual": {}}
        assert [each.name for each in jobs.datasets_of(session, several)] == ["one", "two"]
        assert [each.name for each in jobs.datasets_of(session, single)] == ["one"]
    to(database, "0005")
    with database.read() as session:
        found = {job.id: job for job in session.scalars(select(Job))}
        for job in found.values():
            assert "dataset" not in job.spec["tasks"][0] | job.plan["tasks"][0]
        assert found[several.id].report == {"tasks": {"label": {"rows": 3}}, "actual": {}}
        assert (found[several.id].status, found[several.id].finished_at, found[single.id].status) == ("failed", NOW, "queued")
        view = jobs.view(found[several.id])
        assert view.error is not None
        assert view.error.message == "The tasks of the job learn from several datasets, and this release learns from one."
    migrate(database)
    with database.read() as session:
        assert [jobs.view(job).plan.tasks[0].dataset for job in session.scalars(select(Job))] == [None, None]


def test_a_version_of_another_dataset_stays_one_file_s_dataset_for_an_older_release(database):
    migrate(database)
    with database.write() as session:
        workspace = add_workspace(session)
        parent = add_dataset(session, workspace)
        child = add_dataset(session, workspace, parent=Parent(dataset=parent.id, how="replace", key="id"))
        add_upload(session, workspace, dataset=child)
    before = counts(database)
    to(database, "0006")
    migrate(database)
    assert counts(database) == before | {"uploads": 0}
    with database.read() as session:
        assert datasets.view(session.get_one(Dataset, child.id)).parent is None


OLD: dict[str, Any] = {
    "architecture": "BertModel",
    "model_type": "bert",
    "modality": "text",
    "license": "MIT",
    "sha256": "0" * 64,
    "bytes": 90868376,
    "files": {"config.json": "1" * 64},
    "parameters": 22713216,
    "width": 384,
    "vocabulary": 30522,
    "max_tokens": 512,
    "layers": [
        {"object": "layer", "name": "embeddings", "index": 0, "parameters": 7, "output": ["T", 384], "boundary": True},
        {"object": "layer", "name": "pooler", "index": 1, "parameters": 7, "output": [384], "boundary": False},
    ],
    "layer_flops_per_token": {"embeddings": 0.0, "pooler": 4608.0},
    "default_layer": "embeddings",
    "has_pooler": True,
    "tensors": [
        {"name": "embeddings.word_embeddings.weight", "shape": [30522, 384]},
        {"name": "embeddings.token_type_embeddings.weight", "shape": [2, 384]},
        {"name": "embeddings.LayerNorm.weight", "shape": [384]},
        {"name": "embeddings.LayerNorm.bias", "shape": [384]},
        {"name": "encoder.up.weight", "shape": [1536, 384]},
        {"name": "encoder.up.bias", "shape": [1536]},
        {"name": "encoder.odd.weight", "shape": [1536, 384]},
        {"name": "encoder.odd.bias", "shape": [384]},
        {"name": "pooler.dense.weight", "shape": [384, 384]},
        {"name": "pooler.dense.bias", "shape": [384]},
    ],
}
"""An anatomy as revision 0003 knows it."""
NEW: dict[str, Any] = {
    name: value for name, value in OLD.items() if name not in {"modality", "vocabulary", "max_tokens", "layer_flops_per_token"}
} | {
    "library": "transformers",
    "input": {"type": "text", "vocabulary": 30522, "max_tokens": 512, "segments": True},
    "layers": [OLD["layers"][0] | {"axes": ["T", "D"]}, OLD["layers"][1] | {"axes": ["D"]}],
    "layer_flops": {"embeddings": 0.0, "pooler": 4608.0},
    "layer_positions": {"embeddings": 1.0, "pooler": 1 / 64},
    "linear": ["encoder.up", "pooler.dense"],
    "adapter_targets": {},
}
PICTURE = {
    "type": "image",
    "size": [224, 224],
    "resize": [256],
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}
ANATOMIES = table("backbones", column("name", String), column("status", String), column("anatomy", JSON), column("error", JSON))


def written(database: Database, name: str) -> Any:
    with database.engine.connect() as connection:
        return connection.execute(select(ANATOMIES.c.anatomy).where(ANATOMIES.c.name == name)).scalar_one()


def to(database: Database, revision: str) -> None:
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), revision)


def test_anatomies_go_up_to_what_this_release_reads_and_down_to_what_they_were(database):
    migrate(database)
    with database.write() as session:
        workspace = add_workspace(session)
        for name in ("some", "gone", "without-segments"):
            add_backbone(session, workspace, name=name).deleted_at = NOW if name == "gone" else None
        add_backbone(session, workspace, name="unread", ready=False)
    to(database, "0003")
    plain = OLD | {"tensors": []}
    with database.engine.begin() as connection:
        connection.execute(update(ANATOMIES).where(ANATOMIES.c.name.in_(["some", "gone"])).values(anatomy=OLD))
        connection.execute(update(ANATOMIES).where(ANATOMIES.c.name == "without-segments").values(anatomy=plain))
    migrate(database)
    assert [written(database, name) for name in ("some", "gone", "unread")] == [NEW, NEW, None]
    for name in ("some", "without-segments"):
        read = Anatomy.model_validate(written(database, name))
        assert read.modality == "text"
        assert read.model_dump(mode="json") == (
            NEW if name == "some" else NEW | {"tensors": [], "linear": [], "input": NEW["input"] | {"segments": False}}
        )
    with database.read() as session:
        assert backbones.view(backbones.get_backbone(session, workspace, "some")).layer_count == 2
    to(database, "0003")
    assert [written(database, name) for name in ("some", "gone", "unread", "without-segments")] == [OLD, OLD, None, plain]


def test_an_older_release_finds_a_backbone_that_it_cannot_read_invalid_and_keeps_its_row(database):
    migrate(database)
    with database.write() as session:
        workspace = add_workspace(session)
        add_model(session, workspace)
        backbone = backbones.get_backbone(session, workspace, "minilm-l6")
        backbone.anatomy = NEW | {"input": PICTURE}
        backbones.anatomy_of(backbone)
    before = counts(database)
    to(database, "0003")
    with database.engine.connect() as connection:
        status, error = connection.execute(select(ANATOMIES.c.status, ANATOMIES.c.error)).one()
    assert (status, error["code"], written(database, "minilm-l6")) == ("invalid", "bad_data", None)
    migrate(database)
    assert counts(database)["backbones"] == before["backbones"]
    with database.read() as session:
        shown = backbones.view(backbones.get_backbone(session, workspace, "minilm-l6"))
    assert (shown.status, shown.modality, shown.error and shown.error.code) == ("invalid", None, "bad_data")


READ: dict[str, Any] = {
    "name": "words",
    "type": "text",
    "missing": 0,
    "distinct": 2,
    "longest": 9,
    "mean_length": 9.0,
    "values": None,
    "mean_seconds": None,
    "mean_pixels": None,
}
"""A column's profile as revision 0005 knows it."""


def test_profiles_go_down_to_what_an_older_release_reads(database):
    migrate(database)
    with database.write() as session:
        workspace = add_workspace(session)
        dataset = add_dataset(session, workspace)
        dataset.format, dataset.types = "arrow", {"words": "tokens", "label": "category"}
        lists = READ | {"type": "tags", "values": {"O": 4}, "near_empty": None, "duplicates": None}
        dataset.profile = {"rows": 2, "columns": [lists, READ], "problems": [], "problem_count": 0, "dropped_rows": 1, "split_column": None}
        datasets.view(dataset)
        add_dataset(session, workspace, name="unread", ready=False)
    to(database, "0005")
    with database.engine.connect() as connection:
        rows = connection.execute(text("SELECT name, format, types, profile FROM datasets ORDER BY id")).all()
    told = [[value if not isinstance(value, str) or value[0] != "{" else json.loads(value) for value in row] for row in rows]
    profile = {"rows": 2, "columns": [READ, READ], "problems": [], "problem_count": 0}
    assert told == [["reviews", "parquet", {"label": "category"}, profile], ["unread", "csv", {}, None]]
    migrate(database)
    with database.read() as session:
        shown = datasets.view(datasets.resolve_dataset(session, workspace, "reviews", pointer="/dataset"))
    assert (shown.mode, shown.dropped_rows, shown.rows) == ("strict", 0, 2000)


def test_the_release_before_writes_datasets_that_are_read_strictly(database):
    migrate(database)
    with database.write() as session:
        add_dataset(session, add_workspace(session))
    known = Table.metadata.tables["datasets"]
    with database.engine.begin() as connection:
        row = connection.execute(select(known)).mappings().one()
        older = {name: value for name, value in row.items() if name != "mode"} | {"id": "ds_2", "version": 2}
        connection.execute(insert(table("datasets", *(column(name, known.c[name].type) for name in older))).values(**older))
        assert connection.scalar(select(known.c.mode).where(known.c.id == "ds_2")) == "strict"


def test_a_job_that_an_older_release_stored_is_still_read(database):
    stored = {
        "model": "reviews",
        "backbone": "minilm-l6",
        "init": "pretrained",
        "dataset": "reviews",
        "max_seconds": None,
        "tasks": [
            {
                "name": "label",
                "type": "text-classification",
                "problem": None,
                "inputs": {"text": "review"},
                "target": "label",
                "weight": 1.0,
            }
        ],
        "method": {
            "type": "feature-extraction",
            "layer": None,
            "pooling": "mean",
            "head": {"type": "linear", "solver": "lbfgs", "dropout": 0.0},
        },
        "training": {
            "epochs": 10,
            "learning_rate": 0.001,
            "optimizer": "adamw",
            "weight_decay": 0.01,
            "warmup": 0.1,
            "batch_size": "auto",
            "max_tokens": None,
            "clip_norm": 1.0,
            "patience": None,
            "seed": 0,
            "dtype": "auto",
        },
        "evaluation": {"split_column": None, "validation_size": 0.1, "test_size": 0.2},
    }
    migrate(database)
    with database.write() as session:
        add_job(session, add_workspace(session)).spec = stored
    with database.read() as session:
        job = session.scalars(select(Job)).one()
        assert jobs.view(job).spec.tasks[0].inputs.given == {"text": "review"}


def test_migrating_a_migrated_database_changes_nothing(database):
    migrate(database)
    fill(database)
    before = counts(database)
    migrate(database)
    assert counts(database) == before


def test_processes_that_migrate_at_once_all_succeed(empty_url, database):
    started = [
        subprocess.Popen([sys.executable, "-c", MIGRATE, empty_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    with contextlib.ExitStack() as stack:
        for process in started:
            stack.enter_context(process)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        ends = [process.communicate(timeout=60)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], ends
    assert differences(database.engine) == []


def test_a_database_newer_than_the_code_is_refused_in_words_and_left_alone(database):
    migrate(database)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="at revision 9999, which this release does not know") as caught:
        migrate(database)
    assert (caught.value.code, caught.value.hint) == ("state_conflict", "Use the newer release.")
    with database.engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_migration_that_fails_half_way_leaves_no_table(database):
    """`transactional DDL`: the first tables are made, then one is in the way."""
    with database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE jobs (id INTEGER)"))
    with pytest.raises(Exception, match="already exists"):
        migrate(database)
    assert inspect(database.engine).get_table_names() == ["jobs"]


@pytest.mark.parametrize("url", ["sqlite:////proc/none/headstart.db", "postgresql+psycopg://nobody@127.0.0.1:1/none"])
def test_a_database_that_is_away_is_unavailable(url):
    try:
        database = Database(url)
        migrate(database)
    except (Unavailable, OSError) as error:
        assert isinstance(error, Unavailable), error
        assert error.code == "unavailable"
    else:
        pytest.fail("it migrated nothing")


def _downgrade(connection: Connection) -> None:
    command.downgrade(alembic_config(connection), "base")
