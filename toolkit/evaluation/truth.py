"""What is true of a photo, in the words of the model: its data set's labels as nodes of the model's tree, level by level.

A data set may have conditions or levels that the model does not know. Each level is then judged on the photos whose true
node on it the model knows; what was unknown is listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from derm_sdk.taxonomy import Taxonomy

from ..data.manifest import Photo
from ..errors import DataError


@dataclass(frozen=True)
class TruthMap:
    """The conditions of a data set as nodes of a model's tree.

    Attributes:
        nodes: {condition id of the data set: per level of the model the id of the true node, "" where it is unknown}.
        names: {condition id of the data set: per level of the model what the data set calls it, "" where it is silent}.
    """

    levels: tuple[str, ...]
    nodes: dict[str, tuple[str, ...]]
    names: dict[str, tuple[str, ...]]

    def known(self, photo: Photo) -> bool:
        """Whether the model knows the photo's true node on any level."""
        return any(self.nodes[photo.leaf])

    def unknown(self, photos: Sequence[Photo]) -> dict[str, dict[str, int]]:
        """{level: {label: number of the photos}} of labels that the model does not know; levels without any are left out."""
        found: dict[str, dict[str, int]] = {}
        for photo in photos:
            for level, node, name in zip(self.levels, self.nodes[photo.leaf], self.names[photo.leaf], strict=True):
                if not node:
                    of_level = found.setdefault(level, {})
                    of_level[name or "(not labelled)"] = of_level.get(name or "(not labelled)", 0) + 1
        return {level: dict(sorted(found[level].items())) for level in self.levels if level in found}


def map_truth(model: Taxonomy, data: Taxonomy) -> TruthMap:
    """Finds the conditions of a data set, and what is above them, in a model's tree: by name, then by id, per level.

    Levels are matched by their names, the deepest also with the deepest. A level that the data set lacks follows from the
    condition, if the model knows that; a level on which it uses a word that the model does not know stays unknown.

    Raises:
        DataError: the model files a condition that it knows under another label than the data set does.
    """
    nodes, names = {}, {}
    for leaf in data.leaves:
        told = {level: data.node(data.ancestor(leaf, level)).name for level in data.levels}
        told |= {model.levels[-1]: data.node(leaf).name} if model.levels[-1] not in told else {}
        ids = {level: data.ancestor(leaf, level) for level in data.levels} | {model.levels[-1]: leaf}
        found = {level: _find(model, level, told[level], ids[level]) for level in model.levels if level in told}
        known = found.get(model.levels[-1], "")
        if known:
            for level in model.levels:
                above = model.ancestor(known, level)
                if found.setdefault(level, above) not in ("", above):
                    raise DataError(
                        f"The model files {told[model.levels[-1]]!r} below the {level} {model.node(above).name!r}, but the "
                        f"data set below {told[level]!r}; import the data with the model's labels."
                    )
        nodes[leaf] = tuple(found.get(level, "") for level in model.levels)
        names[leaf] = tuple(told.get(level, "") for level in model.levels)
    return TruthMap(model.levels, nodes, names)


def _find(model: Taxonomy, level: str, name: str, node_id: str) -> str:
    at = model.at(level)
    named = [node.id for node in at if node.name.casefold() == name.casefold()]
    return named[0] if named else next((node.id for node in at if node.id == node_id), "")
