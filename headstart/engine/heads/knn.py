"""The k-nearest-neighbours head: the training rows nearest to a new one vote.

    one label:    score of class c  =  log( (votes for c + 1 / C) / (k + 1) )
    any labels:   score of class c  =  log( (votes for c + ½) / (k − votes for c + ½) )
    a number:     the mean of theirs

One vote more than k is shared by all classes, so that none has the probability 0; the order of the classes is that of their votes.

A head's tensors say by their names what near means: `points` [N, D] by Euclidean distance; `directions` [N, D], of length 1, by cosine. Beside
them `targets`, class numbers or numbers [N], or switches [N, C]; `k` [1]; and with one label `counts` [C], the rows of each class. Class numbers
are exact in float32 up to 2²⁴.

Axes: B new rows, N training rows, D width, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.engine.heads.kinds import Given, HeadTensors
from headstart.engine.vectors import all_of
from headstart.specs.heads import KnnHead

BLOCK = 4_000_000
"""Distances that are held at once: 16 MB of them."""


def fit(head: KnnHead, given: Given) -> HeadTensors:
    rows = given.train
    features = all_of(rows.features)  # the head is made of them
    kept = {"points": features} if head.distance == "euclidean" else {"directions": _directions(features)}
    if np.issubdtype(rows.targets.dtype, np.integer):
        kept["counts"] = np.bincount(rows.targets, minlength=given.outputs).astype(np.float32)
    return {**kept, "targets": rows.targets.astype(np.float32), "k": np.array([min(head.k, len(rows.targets))], np.float32)}


def logits(tensors: HeadTensors, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the nearest rows say, [B, C] or, of a number, [B, 1]; float64."""
    k, targets = int(tensors["k"][0]), tensors["targets"]
    cosine = "directions" in tensors
    points = tensors["directions"] if cosine else tensors["points"]
    queries = _directions(features) if cosine else features
    # ‖x − p‖² without ‖x‖², which is the same for all points; between vectors of length 1 its order is that of the cosine
    norms = np.einsum("nd,nd->n", points, points)
    size = max(1, BLOCK // len(points))
    said = []
    for start in range(0, max(len(queries), 1), size):
        block = queries[start : start + size]
        nearest = targets[_nearest(norms - 2.0 * (block @ points.T), k)].astype(np.float64)  # [b, k] or [b, k, C]
        if "counts" in tensors:
            said.append(_of_votes(nearest.astype(np.int64), len(tensors["counts"])))
        elif nearest.ndim == 3:
            votes = nearest.sum(axis=1)
            said.append(np.log((votes + 0.5) / (k - votes + 0.5)))
        else:
            said.append(nearest.mean(axis=1, keepdims=True))
    return np.concatenate(said)


def _of_votes(nearest: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Logarithms of the shares of the votes, [b, C], of the class numbers of the nearest, [b, k]."""
    votes = np.zeros((len(nearest), classes))
    np.add.at(votes, (np.arange(len(nearest))[:, None], nearest), 1.0)
    scores: NDArray[np.float64] = np.log((votes + 1 / classes) / (nearest.shape[1] + 1))
    return scores


def _nearest(distances: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The places of the k least in each row, in no order."""
    return np.argpartition(distances, k - 1, axis=1)[:, :k]


def _directions(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row at length 1; one that is zero stays so."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled
