"""The Celery application: one queue, one task that rings, JSON only, nothing kept."""

from __future__ import annotations

from celery import Celery
from kombu.utils.url import parse_url

from headstart.doorbell import transport
from headstart.errors import BadInput
from headstart.settings import Settings

QUEUE = "headstart"
TASK = "headstart.ring"

AMQP, REDIS = frozenset({"amqp", "amqps", "pyamqp"}), frozenset({"redis", "rediss"})
SILENCE_SECONDS = 10
"""A broker that said nothing for two or three times as long is connected to anew; a worker is deaf meanwhile, and polls."""


def make_celery(settings: Settings) -> Celery:
    """Celery on the configured broker, or on the queue folder of the home folder.

    Raises:
        BadInput: the broker's URL cannot be used.
    """
    transport.register()
    options: dict[str, object] = {"folder": str(settings.queue), "polling_interval": 0.1}
    if settings.broker_url is not None:
        options = _options(settings.broker_url, settings.broker_prefix)
    app = Celery("headstart", broker=settings.broker_url or f"{transport.SCHEME}://localhost", set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_heartbeat=SILENCE_SECONDS,
        broker_transport_options=options,
        result_backend=None,
        task_acks_late=False,
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_serializer="json",
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
    )
    return app


def _options(url: str, prefix: str) -> dict[str, object]:
    """How to speak to this broker: never waiting for ever, for connections are forgotten on the way.

    Raises:
        BadInput: the URL can never work.
    """
    scheme = url.partition("://")[0] if "://" in url else None
    try:
        database = parse_url(url)["virtual_host"] or "0"
    except ValueError:
        scheme = None
    if scheme in AMQP:
        return {"read_timeout": 5, "write_timeout": 5, "confirm_publish": True}
    if scheme in REDIS and database.isdecimal():
        network = {"socket_timeout": 5, "socket_connect_timeout": 2, "health_check_interval": SILENCE_SECONDS}
        return {**network, "global_keyprefix": prefix}
    hint = "It looks like redis://HOST:6379/0 or amqp://USER:PASSWORD@HOST/VHOST; unset, it is a queue folder."
    raise BadInput("invalid_field", "HEADSTART_BROKER_URL is not the URL of a broker that is known here.", hint)
