"""One training on several processes: who they are, what they agree on, and what they put together.

Each process is a rank. `torchrun` starts them, on one machine or on several, or else Fabric does (`--devices`). Every
rank holds the same weights and sees its fraction of each batch; the first rank alone writes. What may fail on one rank
alone is done so that all learn of it: a rank that waits for another one would wait for long.
"""

from __future__ import annotations

import gc
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.data.packed_faces import Faces, pick
from mien.errors import ConfigError, MienError
from mien.training.checkpoint import LAST, describe
from mien.training.network import Network, NetworkConfig
from mien.training.precision import Precision
from mien.training.recipes import Recipe

T = TypeVar("T")


def part_of(count: int, rank: int, ranks: int) -> slice:
    """The part of N rows that a rank evaluates: rows that follow each other, as many on each rank but for one."""
    return slice(count * rank // ranks, count * (rank + 1) // ranks)


def launch_id() -> str | None:
    """The name of the `torchrun` that started this process, the same after it restarted it; None without one."""
    return os.environ.get("TORCHELASTIC_RUN_ID")


def local_rank() -> int:
    """The number of this process, from 0, among those that train on this machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def joined() -> bool:
    """Whether this process has met the other ranks."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def continues(out: Path) -> bool:
    """Whether the run in `out` is to go on unasked: where this process's own torchrun began it, and started it anew.

    torchrun counts restarts by machine, so that on several its name shows it. "none" is the name of those without one.
    """
    if launch_id() is None or not (out / LAST).exists() or describe(out / LAST).launch != launch_id():
        return False
    return launch_id() != "none" or _restarts() > 0


def launch(recipe: Recipe, accelerator: str, devices: int | None, precision: Precision) -> Fabric:
    """Fabric, launched, on N devices of this machine: by default one, or as many as torchrun started processes.

    Raises ConfigError where they cannot be had, contradict torchrun's, or the recipe cannot be trained on several.
    """
    here, machines = _processes()
    if here is not None and devices not in (None, here):
        raise ConfigError(
            f"`devices={devices}` contradicts torchrun, which started {here} processes here: leave it out"
        )
    devices = here or devices or 1
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces each choice of precision
    try:
        fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=machines, precision=precision)
    except (RuntimeError, ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"cannot train on {devices} of {accelerator}: {str(error).splitlines()[0]}") from error
    ranks = devices * machines
    if recipe.batch % ranks:
        raise ConfigError(f"batch {recipe.batch} does not divide among {ranks} ranks")
    if ranks > 1 and (recipe.freeze or recipe.labels == "none"):
        raise ConfigError("frozen convolutions and training without labels work on one device only: `devices=1`")
    if ranks > machines == 1 and _restarts() and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        _rejoin()
    fabric.launch()
    return fabric


def _restarts() -> int:
    """How often torchrun started the processes of this machine anew."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def _rejoin() -> None:
    """After a restart let the ranks meet at a new port, which they learn at torchrun's own.

    That one still holds where the processes were that have ended, and new ones would search each other there
    (github.com/pytorch/pytorch/issues/135712). On several machines, where restarts are counted apart, torchrun needs
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for that.
    """
    address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = torch.distributed.TCPStore(*address, is_master=False)  # type: ignore[attr-defined]
    key = f"mien/port/{_restarts()}"
    if os.environ["RANK"] == "0":
        with socket.socket() as free:
            free.bind(("", 0))
            store.set(key, str(free.getsockname()[1]))
    os.environ["MASTER_PORT"] = store.get(key).decode()
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "False"


def _processes() -> tuple[int | None, int]:
    """How many processes torchrun started on this machine, and on how many machines; None and 1 without it."""
    if launch_id() is None:
        return None, 1
    here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    if everywhere % here:
        raise ConfigError(f"expected as many processes on each machine, got {here} of {everywhere} on this one")
    return here, everywhere // here


@contextmanager
def one_of_ranks() -> Iterator[None]:
    """Leave the other ranks at the end, and report in one line what gloo and nccl report in many: that one ended
    before.

    A process that ends without having left them may be aborted by gloo's threads, although all went well
    (github.com/pytorch/pytorch/issues/190489). Where it failed, leaving could wait for ranks that are at work.
    """
    met_before = joined()
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, torch.distributed.DistError) or " by peer" in str(error)
        if not (lost and joined()):
            raise
        raise MienError("the training ended because another rank did; that one reports why") from error
    if joined() and not met_before:
        gc.collect()  # the network that is trained on ranks holds on to their group
        torch.distributed.destroy_process_group()


def first(fabric: Fabric, work: Callable[[], T]) -> T:
    """What the first rank's work comes to, on every rank; a MienError that it raises is raised on every rank."""
    result: T | None = None
    problem: MienError | None = None
    if fabric.is_global_zero:
        try:
            result = work()
        except MienError as error:
            problem = error
    result, reported = fabric.broadcast((result, None if problem is None else str(problem)))
    if reported is not None:
        raise problem or MienError(reported)
    return result  # type: ignore[return-value]


def mean_loss(fabric: Fabric, loss: Tensor) -> float:
    """The mean of all ranks' losses, the same number on each: the loss of the whole batch."""
    if fabric.world_size > 1:
        loss = loss.detach().clone()
        torch.distributed.all_reduce(loss)
        loss /= fabric.world_size
    return loss.item()


def predictions(
    fabric: Fabric, faces: Faces, predict: Callable[[Faces, range], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """The predictions (N, C) for faces (N, 48, 48), on every rank. Each computes a part, for which `predict` gets the
    faces and their rows.
    """
    if fabric.world_size == 1 or not len(faces):
        return predict(faces, range(len(faces)))
    bounds = [part_of(len(faces), rank, fabric.world_size) for rank in range(fabric.world_size)]
    own = bounds[fabric.global_rank]
    rows = range(own.start, own.stop)
    found = torch.from_numpy(predict(pick(faces, np.asarray(rows)), rows))
    longest = max(part.stop - part.start for part in bounds)
    padded = torch.zeros(longest, found.shape[1], device=fabric.device)  # gathered parts must be as long on each rank
    padded[: len(found)] = found
    gathered = [torch.empty_like(padded) for _ in bounds]
    torch.distributed.all_gather(gathered, padded)
    parts = [part[: bound.stop - bound.start] for part, bound in zip(gathered, bounds, strict=True)]
    result: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
    return result


def as_first(fabric: Fabric, network: nn.Module) -> None:
    """Give every rank the first one's weights and buffers."""
    if fabric.world_size > 1:
        for tensor in network.state_dict().values():
            torch.distributed.broadcast(tensor, 0)


def settle(fabric: Fabric, model: nn.Module, config: NetworkConfig) -> None:
    """Pass backward once, to no effect, so that all steps of a run and of its resumption sum gradients alike.

    torch lays gradients out anew after the first time, and where a gradient lies decides in which order three ranks or
    more add it up. A resumed run has its own first time.
    """
    if fabric.world_size > 1:
        model.eval()  # statistics of batches stay as they are
        faces = torch.zeros(1, config.in_channels, config.input_size, config.input_size, device=fabric.device)
        fabric.backward(model(faces).float().sum())
        model.zero_grad()


def synchronised(fabric: Fabric, network: Network) -> None:
    """Let batch normalisation see the whole batch where that can be done: on CUDA.

    On a CPU each rank's statistics are of its part of the batch, and the first rank's are saved.
    """
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
