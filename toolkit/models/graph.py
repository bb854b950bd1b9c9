"""What a network of a run is: its name, what it answers, what it looks at."""

from __future__ import annotations

from dataclasses import dataclass

from derm_sdk.composition import Head


@dataclass(frozen=True)
class GraphSpec:
    """One network of a model.

    Attributes:
        id: its name; lower-case letters, digits and "-".
        given: id of the node below which it answers; None for the whole tree.
        labels: ids of the nodes it tells apart, in the order of its logits.
        inputs: names out of derm_sdk.preprocess.INPUT_CHANNELS, and "skin_type" where it takes one; in the order of its
            inputs.
    """

    id: str
    given: str | None
    labels: tuple[str, ...]
    inputs: tuple[str, ...]

    @property
    def head(self) -> Head:
        """The graph's place in the composition."""
        return Head(self.id, self.given, self.labels)
