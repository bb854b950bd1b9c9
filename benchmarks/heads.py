"""Two heads over the same frozen features: one softmax over the conditions summed upward, or a softmax among siblings.

    python benchmarks/heads.py DATA [--backbone lite0] [--size 224]

Features are ImageNet's, of the training photos as the device sees them. Both heads are linear and are fitted by L-BFGS with
the same weight decay (the best of a few, chosen per head on the other folds), in five folds that cut no group; what is
printed is of the photos that were left out: log loss and macro F1 on each level, and the difference with an interval over
the groups. The validation and test sides of the split are not touched.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold

from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import read_dataset, read_split
from derm_toolkit.evaluation.bootstrap import units, weight_blocks
from derm_toolkit.training.feed import batches_in_order, exact_photo, feed

DECAYS = (1e-3, 1e-2, 3e-2, 1e-1)


def log_softmax(scores: np.ndarray) -> np.ndarray:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


class Summed:
    """Logits of the conditions; a node above is the sum of its conditions."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.outputs = len(taxonomy.leaves)

    def log_leaves(self, scores: np.ndarray) -> np.ndarray:
        return log_softmax(scores)

    def gradient(self, scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
        gradient = np.exp(log_softmax(scores))
        gradient[np.arange(len(truth)), truth] -= 1
        return gradient


class Conditional:
    """Logits of all nodes; a softmax among the children of each node, multiplied downward."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        nodes = [node.id for node in taxonomy.nodes]
        self.outputs = len(nodes)
        parents = [None, *(node.id for node in taxonomy.nodes if taxonomy.children(node.id))]
        self.siblings = [[nodes.index(child.id) for child in taxonomy.children(parent)] for parent in parents]
        self.path = np.array(
            [
                [node in (taxonomy.ancestor(leaf, level) for level in taxonomy.levels) for node in nodes]
                for leaf in taxonomy.leaves
            ],
            float,
        )  # [leaves, nodes]

    def _log_conditionals(self, scores: np.ndarray) -> np.ndarray:
        found = np.zeros_like(scores)
        for columns in self.siblings:
            found[:, columns] = log_softmax(scores[:, columns])
        return found

    def log_leaves(self, scores: np.ndarray) -> np.ndarray:
        return self._log_conditionals(scores) @ self.path.T

    def gradient(self, scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
        conditionals, gradient = np.exp(self._log_conditionals(scores)), np.zeros_like(scores)
        for columns in self.siblings:
            on_path = self.path[truth][:, columns]
            gradient[:, columns] = on_path.sum(axis=1, keepdims=True) * conditionals[:, columns] - on_path
        return gradient


def fit(head: Summed | Conditional, features: np.ndarray, truth: np.ndarray, decay: float) -> np.ndarray:
    """Weights [features, outputs] that minimise the conditions' cross-entropy + decay / 2 |weights|^2."""
    shape = (features.shape[1], head.outputs)

    def cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape)
        scores = features @ weights
        loss = -head.log_leaves(scores)[np.arange(len(truth)), truth].mean()
        gradient = features.T @ head.gradient(scores, truth) / len(truth) + decay * weights
        return loss + decay / 2 * (flat**2).sum(), gradient.ravel()

    found = minimize(cost, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return found.x.reshape(shape)


def left_out(head: Summed | Conditional, features: np.ndarray, truth: np.ndarray, groups: list[str]) -> np.ndarray:
    """Log probabilities [N, leaves] of each photo by a head fitted without its fold, decay chosen without it, too."""
    found = np.zeros((len(truth), int(truth.max()) + 1))
    names = np.unique(groups, return_inverse=True)[1]
    for rest, fold in GroupKFold(5).split(features, truth, names):
        inner, check = next(GroupKFold(5).split(features[rest], truth[rest], names[rest]))
        losses = []
        for decay in DECAYS:
            log_p = head.log_leaves(features[rest][check] @ fit(head, features[rest][inner], truth[rest][inner], decay))
            losses.append(-log_p[np.arange(len(check)), truth[rest][check]].mean())
        found[fold] = head.log_leaves(
            features[fold] @ fit(head, features[rest], truth[rest], DECAYS[int(np.argmin(losses))])
        )
    return found


def pooled_features(data: Path, backbone: str, size: int) -> tuple[np.ndarray, np.ndarray, list[str], Taxonomy]:
    """Standardised features [N, F + 1] with a constant, classes [N], groups [N] of the training photos, and the tree."""
    from derm_toolkit.models.efficientnet_lite import efficientnet_lite
    from derm_toolkit.models.weights import load_pretrained

    dataset = read_dataset(data)
    split = read_split(data / "splits.csv", dataset)
    photos = split.photos(dataset, "train")
    model = load_pretrained(efficientnet_lite(backbone, size), backbone)
    cache = PhotoCache(dataset, size, "crop")
    batches = feed(photos, batches_in_order(len(photos), 64), exact_photo(cache), ("rgb",), 2)
    features = np.concatenate([model.predict_on_batch(batch["rgb"]) for _, batch in batches]).astype(np.float64)
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    classes = np.array([dataset.taxonomy.leaves.index(photo.leaf) for photo in photos])
    return np.column_stack([features, np.ones(len(photos))]), classes, units(photos, split), dataset.taxonomy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="lite0", choices=("lite0", "lite1", "lite2"))
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    features, truth, groups, taxonomy = pooled_features(options.data, options.backbone, options.size)
    found = {
        "summed": left_out(Summed(taxonomy), features, truth, groups),
        "conditional": left_out(Conditional(taxonomy), features, truth, groups),
    }
    weights = np.concatenate(list(weight_blocks(groups, 1000, 0)))
    print(f"{len(truth)} training photos in {len(set(groups))} groups, {options.backbone} at {options.size}, five folds")
    for level in taxonomy.levels:
        nodes = [node.id for node in taxonomy.at(level)]
        above = np.array([nodes.index(taxonomy.ancestor(leaf, level)) for leaf in taxonomy.leaves])
        member = np.eye(len(nodes))[above]
        losses, scores = {}, {}
        for name, log_p in found.items():
            p = np.exp(log_p) @ member
            losses[name] = -np.log(np.maximum(p[np.arange(len(truth)), above[truth]], 1e-12))
            scores[name] = f1_score(above[truth], p.argmax(axis=1), average="macro")
        change = losses["conditional"] - losses["summed"]
        low, high = np.quantile(weights @ change / weights.sum(axis=1), [0.025, 0.975])
        print(
            f"{level:<10} log loss: summed {losses['summed'].mean():.3f}, conditional {losses['conditional'].mean():.3f}, "
            f"change {change.mean():+.3f} [{low:+.3f}, {high:+.3f}]; macro F1: summed {scores['summed']:.3f}, "
            f"conditional {scores['conditional']:.3f}"
        )


if __name__ == "__main__":
    main()
