"""The Celery application: one queue, one task that rings, JSON only, nothing kept."""

from __future__ import annotations

from celery import Celery
from kombu.transport import get_transport_cls
from kombu.utils.url import parse_url

from headstart.doorbell import transport
from headstart.errors import BadInput
from headstart.settings import Settings

QUEUE = "headstart"
TASK = "headstart.ring"


def make_celery(settings: Settings) -> Celery:
    """Celery on the configured broker, or on the queue folder of the home folder.

    Raises:
        BadInput: the broker's URL cannot be used.
    """
    transport.register()
    if settings.broker_url is not None:
        _check(settings.broker_url)
    options: dict[str, object] = {"socket_timeout": 5, "socket_connect_timeout": 2, "global_keyprefix": settings.broker_prefix}
    if settings.broker_url is None:
        options = {"folder": str(settings.queue), "polling_interval": 0.1}
    app = Celery("headstart", broker=settings.broker_url or f"{transport.SCHEME}://localhost", set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_heartbeat=0,
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


def _check(url: str) -> None:
    """Refuse now, and not at the first message, what nothing here can serve."""
    scheme, separator, _ = url.partition("://")
    try:
        database = parse_url(url)["virtual_host"]
        known = separator != "" and get_transport_cls(scheme) is not None
        known = known and (not scheme.startswith("redis") or (database or "0").isdecimal())
    except (KeyError, ValueError, ImportError):
        known = False
    if not known:
        hint = "It looks like redis://HOST:6379/0 or amqp://USER:PASSWORD@HOST/VHOST; unset, it is a queue folder."
        raise BadInput("invalid_field", "HEADSTART_BROKER_URL is not the URL of a broker that is known here.", hint)
