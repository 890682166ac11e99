"""The Celery layer: one task that rings a bell. The database is the truth; a message may be lost, late or doubled.

Why so thin: no Celery and Redis setting gives both quick recovery and no double run. With late acknowledgement a killed
worker's task comes back after 100 s whatever the visibility time-out says, or a healthy long one runs twice (measured;
deploy/docs/decisions/0003). So the worklist has leases, and a lost bell costs two seconds.
"""

from __future__ import annotations

from collections.abc import Callable

from celery import Celery
from kombu.exceptions import OperationalError

RING = "wetread.ring"
QUEUE = "wetread"


def make_app(broker_url: str, on_ring: Callable[[], None]) -> Celery:
    """The Celery application. `on_ring` runs in the worker's child process; it must return at once."""
    app = Celery("wetread", broker=broker_url)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_proc_alive_timeout=1800,  # loading 14 GB of weights counts as alive
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=3,
        broker_transport_options={
            "visibility_timeout": 3600,
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
            "max_retries": 0,  # kombu tries for 6 s by default, and the dispatcher has other things to do
        },
    )

    @app.task(name=RING)  # type: ignore[untyped-decorator]
    def ring(_workitem_uid: str) -> None:
        on_ring()

    return app


def publish(app: Celery, workitem_uid: str) -> bool:
    """Ring the bell for a workitem; False where Redis is away, which costs latency and nothing else."""
    try:
        app.send_task(RING, args=(workitem_uid,), retry=False)
    except OperationalError:
        return False
    return True
