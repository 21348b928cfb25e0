"""Another prior: how often each class is expected, in the place of how often the training data had it.

A model that saw few faces of disgust rarely predicts disgust. By Bayes' rule, its probabilities times the new prior
over that of training, divided by their sum, are those of faces among which the classes are as frequent as the new prior
says (Saerens, Latinne and Decaestecker, Neural Computation 2002, equation 2.4).

Even probabilities stay even. Mien's graphs give them for what shows no face (`training/contrast.py`): they say nothing
of any class, and must not turn into the rarest one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, ModelError
from mien.types import Prior


def prior_weights(
    prior: Prior, classes: Sequence[str], frequencies: Mapping[str, float] | None
) -> NDArray[np.float64] | None:
    """The new prior over that of training (C,), by class; None where the prior is that of training.

    frequencies are those of the model's classes in training, as its card has them under `CLASS_FREQUENCIES`. Raises
    ConfigError where the prior names other classes than the model has, ModelError where there are no frequencies.
    """
    if prior == "training":
        return None
    if isinstance(prior, Mapping):
        if set(prior) != set(classes):
            raise ConfigError(f"prior must name the model's classes, {', '.join(classes)}; got {', '.join(prior)}")
        wanted = np.array([prior[name] for name in classes], np.float64)
    else:
        wanted = np.ones(len(classes))
    if frequencies is None or not all(frequencies.get(name, 0) > 0 for name in classes):
        raise ModelError("another prior needs a model that states how frequent its classes were in training")
    weights: NDArray[np.float64] = wanted / wanted.sum() / [frequencies[name] for name in classes]
    return weights


def reweighted(probabilities: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Probabilities (N, C), each row 0..1 of sum 1, as the prior behind these weights (C,) makes them.

    A row whose classes all have the weight 0 stays as it is.
    """
    raised = probabilities * weights
    total = raised.sum(1, keepdims=True)
    changes = (total > 0) & (np.ptp(probabilities, axis=1, keepdims=True) > 0)
    result: NDArray[np.float32] = np.where(changes, raised / np.where(total > 0, total, 1), probabilities).astype(
        np.float32
    )
    return result


def named_prior(prior: Prior, classes: Sequence[str]) -> str:
    """What stands behind a model's id where the prior is not that of training: " (uniform prior)".

    A mapping has the model's classes, as `prior_weights` checks, and is written in their order.
    """
    if isinstance(prior, Mapping):
        total = math.fsum(prior.values())
        return f" (prior {', '.join(f'{name} {prior[name] / total:.4g}' for name in classes)})"
    return "" if prior == "training" else f" ({prior} prior)"
