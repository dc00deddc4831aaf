"""docker-compose.yml, as far as it can be judged without an engine."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from headstart.cli.supervision import STOP_SECONDS
from headstart.settings import load_settings
from tests.deploy.commands import is_ours
from tests.e2e.service import wait_for

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SECRETS = {"POSTGRES_PASSWORD": "p4ss", "REDIS_PASSWORD": "r3dis"}


def filled(value: str) -> str:
    """With the secrets in their places, as compose fills them in."""
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda match: SECRETS[match[1]], value)


def test_four_services_and_no_more():
    assert set(SERVICES) == {"api", "worker", "postgres", "redis"}


@pytest.mark.parametrize("name", ["api", "worker"])
def test_settings_are_real_and_go_together(name: str):
    settings = load_settings({}, **{key.removeprefix("HEADSTART_").lower(): filled(value) for key, value in environment(name).items()})
    assert load_settings(dict.fromkeys(environment(name), "")) is not None  # an unknown name would be refused
    assert settings.database == "postgresql+psycopg://headstart:p4ss@postgres:5432/headstart"
    assert settings.broker_url == "redis://:r3dis@redis:6379/0"
    assert str(settings.blob_folder) == "/var/lib/headstart-blobs"


def environment(name: str) -> dict[str, str]:
    variables: dict[str, str] = SERVICES[name]["environment"]
    return variables


def test_api_and_worker_are_one_image_and_share_their_settings_and_the_blobs_alone():
    api, worker = SERVICES["api"], SERVICES["worker"]
    assert (api["image"], api["build"], api["environment"]) == (worker["image"], worker["build"], worker["environment"])
    assert set(api["volumes"]) & set(worker["volumes"]) == {"blobs:/var/lib/headstart-blobs"}
    assert api["image"].split(":")[1] == version()


def version() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]  # type: ignore[no-any-return]


def test_every_command_and_every_question_after_health_is_one_of_the_cli():
    assert is_ours(SERVICES["api"]["command"])
    assert is_ours(SERVICES["worker"]["command"])
    assert SERVICES["api"]["healthcheck"]["test"][0] == "CMD"
    assert is_ours(SERVICES["api"]["healthcheck"]["test"][1:])


def test_a_command_that_the_cli_has_not_would_be_noticed():
    for wrong in (["headstart"], ["headstart", "wroker"], ["headstart", "up", "--no-such"], ["python", "up"], ["headstart", "jobs"]):
        assert not is_ours(wrong), wrong


def test_no_secret_is_in_the_file_and_each_is_asked_for():
    assert set(re.findall(r"\$\{(\w+)", TEXT)) == set(SECRETS)
    assert all(f"{name}:?" in TEXT for name in SECRETS)
    rest = re.sub(r"\$\{[^}]*\}", "", TEXT)
    assert re.findall(r"(?i)(?:password|secret|key): *\S|://\w*:[^@\s]+@", rest) == []
    example = dict(line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if not line.startswith("#"))
    assert example == dict.fromkeys(SECRETS, "")
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_images_are_pinned_to_a_patch_version():
    for service in SERVICES.values():
        assert re.fullmatch(r"[a-z]+:\d+\.\d+(\.\d+)?(-[a-z]+)?", service["image"]), service["image"]


def test_everything_has_time_to_stop_and_starts_again_by_itself():
    for service in SERVICES.values():
        assert service["restart"] == "unless-stopped"
        assert float(service["stop_grace_period"].removesuffix("s")) >= STOP_SECONDS + 10


def test_whoever_needs_another_waits_for_its_health():
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}, (name, needed)
            assert SERVICES[needed]["healthcheck"]["test"]
    assert set(SERVICES["api"]["depends_on"]) == {"postgres", "redis"}
    assert set(SERVICES["worker"]["depends_on"]) == {"api"}


def test_volumes_are_declared_and_only_the_api_is_reached_and_from_this_machine_alone():
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    assert used == set(COMPOSE["volumes"])
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {"api": ["127.0.0.1:8321:8321"]}


def test_redis_started_by_its_command_demands_the_password_keeps_what_it_has_and_evicts_nothing(tmp_path: Path):
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server is installed here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shell, option, command = SERVICES["redis"]["command"]
    line = [shell, option, command.replace("$$", "$") + f" --port {port} --bind 127.0.0.1 --dir {tmp_path}"]
    server = subprocess.Popen(line, env={"PATH": "/usr/bin:/bin", **SECRETS}, stdout=subprocess.DEVNULL, cwd=tmp_path)
    try:
        with redis.Redis(port=port, password=SECRETS["REDIS_PASSWORD"]) as client, redis.Redis(port=port) as stranger:
            wait_for(lambda: answers(client), 20, "a Redis that answers")
            wanted = {"maxmemory-policy": "noeviction", "appendonly": "yes"}
            assert {name: client.config_get(name)[name] for name in wanted} == wanted
            with pytest.raises(redis.AuthenticationError):
                stranger.ping()
    finally:
        server.terminate()
        server.wait(20)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
