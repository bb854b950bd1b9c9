"""How the graphs of a bundle are made: the precision, and what is done for int8."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """How the graphs are made.

    Attributes:
        precision: "int8", "float16" or "float32".
        representative_photos: training photos from which int8 takes its ranges.
        ranges: how int8 takes them, out of `derm_converters.ranges.METHODS`.
        equalisation: int8 alone; see `derm_converters.equalisation`.
        rounding: of the weights at int8: "learned", see `derm_converters.rounding`, or "nearest".
        bias_correction: int8 alone; see `derm_converters.bias_correction`.
        batchnorm_photos: training photos from which normalisations take their statistics again; 0 for those of the training.
            int8 alone; see `derm_converters.reestimation`.
        qat_epochs: of fine-tuning with rounded weights; int8 alone; see `derm_converters.finetuning`.
        float_layers: how many of the worst layers of each network stay in floats; int8 alone; see
            `derm_converters.float_layers`.
        explain: whether graphs with a pooled head get the signature "explain" too; see `derm_converters.evidence`.
    """

    precision: str
    representative_photos: int = 200
    ranges: str = "mse"
    equalisation: bool = True
    rounding: str = "learned"
    bias_correction: bool = True
    explain: bool = True
    batchnorm_photos: int = 0
    qat_epochs: int = 0
    float_layers: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As the manifest of a bundle tells it."""
        if self.precision != "int8":
            return {"precision": self.precision}
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "explain"}
