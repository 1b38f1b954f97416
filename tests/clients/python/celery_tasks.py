"""The tasks of test_celery.py, as an application would write them; the worker imports this."""

import os

from celery import Celery

URL = f"redis://127.0.0.1:{os.environ['EAVE_RESP_PORT']}"

app = Celery("tasks", broker=f"{URL}/0", backend=f"{URL}/1")
app.conf.update(
    broker_connection_retry_on_startup=True,
    result_expires=3600,
    result_extended=True,
    task_default_queue="main",
    task_routes={"celery_tasks.routed": {"queue": "other"}},
    task_track_started=True,
    worker_hijack_root_logger=False,
)


@app.task
def add(left, right):
    return left + right


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True)
def routed(self, text):
    return [text, self.request.delivery_info["routing_key"]]


@app.task
def fails(text):
    raise ValueError(text)


@app.task(bind=True, max_retries=5)
def at_the_third_try(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.01)
    return self.request.retries


@app.task(bind=True, autoretry_for=(ValueError,), retry_backoff=False, max_retries=2, default_retry_delay=0.01)
def never(self):
    raise ValueError(f"try {self.request.retries}")


@app.task(bind=True)
def tells_its_progress(self, key):
    """Goes on when the key is there, so that the test can look at it in between."""
    self.update_state(state="PROGRESS", meta={"done": 1, "of": 2})
    client = app.backend.client
    while not client.exists(key):
        client.blpop(f"{key}:wait", timeout=0.05)
    return "finished"
