"""The Ray engine: Ray Data hands shards to actors with a session each, on one machine or many.

A shard is a row of a dataset, and OUT holds a note of each that is done. So Ray may run one twice, as it does when a
node is lost, and no row is lost or doubled.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from mien.annotate.engine import Engine, Job
from mien.annotate.shard_output import ShardSummary
from mien.annotate.worker import Report, Worker
from mien.errors import ConfigError, MissingExtraError, StorageError, one_line, reason


def work_on_ray(job: Job, engine: Engine, on_progress: Callable[[int], object]) -> Iterator[Report]:
    """Process shards on a Ray cluster; the reports come in any order. Close it to stop early.

    on_progress is called with 0 after each report, as it is not known how far the other shards are. Without
    `engine.workers` there are as many actors as the cluster has CPUs, now and later. The pool is elastic: one of a
    fixed size that holds every CPU would wait for ever after a node is lost. Raises MissingExtraError without Ray,
    ConfigError where the cluster cannot be reached.
    """
    ray, is_ours = _connected(engine.address)
    try:
        if engine.gpus and not ray.cluster_resources().get("GPU"):
            raise ConfigError(f"each worker is to take {engine.gpus:g} of a GPU, and the cluster has none")
        for report in _reports(ray, job, engine):
            yield report
            on_progress(0)
    finally:
        if is_ours:
            _wait_for_executors()
            ray.shutdown()


def _wait_for_executors() -> None:
    """Let Ray Data's threads end; one that outlives `ray.shutdown` connects to a cluster anew by its next call."""
    for thread in threading.enumerate():
        if thread.name.startswith("StreamingExecutor"):
            thread.join(timeout=5)


def _reports(ray: Any, job: Job, engine: Engine) -> Iterator[Report]:
    context = ray.data.DataContext.get_current()
    before = context.enable_progress_bars, context.print_on_execution_start
    context.enable_progress_bars = context.print_on_execution_start = False
    dataset = ray.data.from_items([{"shard": shard} for shard in job.shards], override_num_blocks=len(job.shards))
    reports = dataset.map_batches(
        _Actor,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=engine.workers),
        fn_constructor_args=(job.url, job.providers, job.run),
        num_cpus=1,
        num_gpus=engine.gpus or None,
    )
    seen: set[int] = set()
    try:
        for row in reports.iter_rows():
            shard = int(row["shard"])
            if shard not in seen:
                seen.add(shard)
                yield Report(
                    shard, ShardSummary.from_json(row["done"]) if row["done"] else None, row["problem"] or None
                )
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]  # what is before it is a traceback
        raise StorageError(f"Ray gave up: {last}") from error
    finally:
        context.enable_progress_bars, context.print_on_execution_start = before


class _Actor:
    """A worker, in the shape that Ray Data wants: a batch of one shard in, a batch of one report out."""

    def __init__(self, url: str, providers: Sequence[str] | None, run: str) -> None:
        import cv2

        cv2.setNumThreads(1)  # there is an actor for each CPU
        self._worker = Worker(url, providers, run, overlap=providers is not None)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        reports = [self._worker.work(int(shard)) for shard in batch["shard"]]
        return {
            "shard": np.array([report.shard for report in reports], np.int64),
            "done": np.array([report.done.to_json() if report.done else "" for report in reports], object),
            "problem": np.array([report.problem or "" for report in reports], object),
        }


def _connected(address: str | None) -> tuple[Any, bool]:
    """Ray, connected to a cluster, and whether it was not before."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # otherwise it reports each cluster to its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Ray Data's own actors draw a warning from Ray
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingExtraError("the engine ray", "ray") from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        return ray, False
    if address is not None:
        _check_reachable(address)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # it raises nearly anything
        raise ConfigError(f"{address or 'Ray'}: cannot be connected to: {one_line(error)}") from error
    finally:
        if handler not in (None, signal.SIG_DFL) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has put its own there, by which the process ends with 1
    return ray, True


def _check_reachable(address: str) -> None:
    """Raise ConfigError where nothing listens at an address; Ray itself would try for minutes."""
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"{address}: expected HOST:PORT of a Ray cluster's head")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"{address}: no Ray cluster answers there: {reason(error)}") from error
