"""The Celery application: one queue, one task that rings, JSON only, nothing kept."""

from __future__ import annotations

from celery import Celery
from kombu.transport import get_transport_cls

from headstart.doorbell import transport
from headstart.settings import Settings

QUEUE = "headstart"
TASK = "headstart.ring"


def make_celery(settings: Settings) -> Celery:
    """Celery on the configured broker, or on the queue folder of the home folder."""
    transport.register()
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
    if settings.broker_url is not None:
        get_transport_cls(settings.broker_url.partition(":")[0])  # a URL that nothing can serve is refused now, not at the first message
    return app
