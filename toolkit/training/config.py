"""A training's config: a TOML file, read into frozen dataclasses. Every key has a default, and no unknown key passes."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from derm_sdk.errors import FileError, closest
from derm_sdk.preprocess import DECODES, FITS, PREPROCESSING_VERSION

from ..data.augment import Augmentation
from ..errors import ConfigError
from ..models import FAMILIES
from .settings import read_settings, to_table, to_toml

VERSION = 1
SHIPPED = Path(__file__).parent.parent / "configs"
METRICS = ("macro_f1", "weighted_f1", "accuracy", "balanced_accuracy", "loss")
_SHARE = {"range": (0.0, 1.0)}


@dataclass(frozen=True)
class Preprocessing:
    """`[preprocessing]`: what `derm_sdk` does to every photo, here and on the device.

    Attributes:
        size: side of the network's input in pixels.
        fit: "stretch", "crop" or "pad".
        decode: "full", or "reduced": large JPEGs are decoded at 1/2, 1/4 or 1/8 of their size, which is several times as
            fast on a device.
    """

    size: int = field(default=192, metadata={"range": (16, 1024)})
    fit: str = field(default="crop", metadata={"choices": FITS})
    decode: str = field(default="full", metadata={"choices": DECODES})

    def to_dict(self) -> dict[str, Any]:
        """As graphs.json and the bundle's manifest hold it."""
        return {"version": PREPROCESSING_VERSION, "size": self.size, "fit": self.fit, "decode": self.decode}


@dataclass(frozen=True)
class Training:
    """`[training]`: one recipe for every network of the model.

    Attributes:
        seed: of weights, order of the photos, augmentation and dropout.
        epochs, expert_epochs: passes over the photos, of the root and of each expert.
        batch_size: photos per step; the batches of an epoch differ by at most one photo.
        optimizer: "adamw", "adam" or "rmsprop".
        learning_rate: the peak, reached after the warm-up.
        schedule: after the warm-up, "cosine" falls to 0 by half a cosine, "constant" stays.
        warmup_epochs: length of the linear rise.
        backbone_rate: factor on the learning rate of the layers before the pooling, which begin as trained ones.
        frozen: share of these layers, from the input on, that does not train, for each of as many equal parts of the
            training as there are values: [1.0] freezes them for good, [1.0, 0.5, 0.0] releases them in stages.
        sizes: side of the pictures in each of as many equal parts of the training; none for the preprocessing's throughout.
        weight_decay: decoupled from the gradient; biases and normalisation are exempt.
        clip_norm: largest norm of a step's gradient; 0 for no limit.
        label_smoothing: share of the target spread over all labels.
        class_weight_power: a photo of a class with n photos weighs (mean n / n)^power; 0 for equal weights.
        hierarchy: weight of the cross-entropy of each level above the labels, whose probabilities are sums of theirs.
        focal: exponent of the focal loss; 0 for plain cross-entropy.
        logit_adjustment: times the logarithm of a label's share of the photos is added to its logit in training only.
        mixup, cutmix: parameter of the beta distribution of the shares of two mixed photos; 0 for none.
        mix_share: share of the photos that are mixed, when one of the two is on.
        skin_type_dropout: share of the photos whose skin type is hidden in an epoch, where it is an input.
        teachers: finished runs or .derm files whose answers to the same pictures join the targets.
        distillation: weight of the teachers' answers in the targets.
        distillation_temperature: divides the teachers' logits.
        average: decay per step of the moving average of the weights that is validated and kept; 0 for none. A training of
            few steps forgets faster, so that about its last quarter counts.
        metric: by which the best epoch is chosen, on the validation split: "macro_f1", "weighted_f1", "accuracy",
            "balanced_accuracy" or "loss".
        patience: epochs without a better value of the metric before a network's training stops.
        precision: "float32", or what Keras calls "mixed_float16" and "mixed_bfloat16".
        workers: threads that prepare photos; 0 for one per core.
        devices: how many GPUs share each batch; 0 for all that the backend can use, or else the one device that it prefers.
        deterministic: use only kernels that repeat bit for bit, also on a GPU (slower there).
    """

    seed: int = field(default=0, metadata={"range": (0, 2**31 - 1)})
    epochs: int = field(default=40, metadata={"range": (1, 100_000)})
    expert_epochs: int = field(default=40, metadata={"range": (1, 100_000)})
    batch_size: int = field(default=32, metadata={"range": (2, 65_536)})
    optimizer: str = field(default="adamw", metadata={"choices": ("adamw", "adam", "rmsprop")})
    learning_rate: float = field(default=1e-3, metadata={"range": (1e-9, 10.0)})
    schedule: str = field(default="cosine", metadata={"choices": ("cosine", "constant")})
    warmup_epochs: float = field(default=2.0, metadata={"range": (0.0, 1000.0)})
    backbone_rate: float = field(default=1.0, metadata={"range": (1e-6, 1.0)})
    frozen: tuple[float, ...] = field(default=(0.0,), metadata=_SHARE)
    sizes: tuple[int, ...] = field(default=(), metadata={"range": (16, 1024)})
    weight_decay: float = field(default=0.02, metadata=_SHARE)
    clip_norm: float = field(default=1.0, metadata={"range": (0.0, 1e6)})
    label_smoothing: float = field(default=0.1, metadata={"range": (0.0, 0.9)})
    class_weight_power: float = field(default=0.5, metadata={"range": (0.0, 2.0)})
    hierarchy: float = field(default=0.0, metadata={"range": (0.0, 100.0)})
    focal: float = field(default=0.0, metadata={"range": (0.0, 10.0)})
    logit_adjustment: float = field(default=0.0, metadata={"range": (0.0, 4.0)})
    mixup: float = field(default=0.0, metadata={"range": (0.0, 10.0)})
    cutmix: float = field(default=0.0, metadata={"range": (0.0, 10.0)})
    mix_share: float = field(default=1.0, metadata=_SHARE)
    skin_type_dropout: float = field(default=0.3, metadata=_SHARE)
    teachers: tuple[str, ...] = ()
    distillation: float = field(default=0.5, metadata=_SHARE)
    distillation_temperature: float = field(default=1.0, metadata={"range": (0.1, 20.0)})
    average: float = field(default=0.0, metadata={"range": (0.0, 0.99999)})
    metric: str = field(default="macro_f1", metadata={"choices": METRICS})
    patience: int = field(default=1000, metadata={"range": (1, 100_000)})
    precision: str = field(default="float32", metadata={"choices": ("float32", "mixed_float16", "mixed_bfloat16")})
    workers: int = field(default=0, metadata={"range": (0, 1024)})
    devices: int = field(default=1, metadata={"range": (0, 1024)})
    deterministic: bool = False

    def __post_init__(self) -> None:
        if not self.frozen:
            raise ValueError("frozen needs one share or more; got none")


@dataclass(frozen=True)
class Targets:
    """`[calibration]`: what the numbers fitted on the calibration split are to reach there.

    Attributes:
        coverage: share of the photos whose prediction set holds the truth.
        answer_accuracy: share of right answers among the answers given, on each level.
        refer_node: name or id of the label that sends a photo to a dermatologist; "" for none.
        refer_sensitivity: share of that label's photos that are referred.
    """

    coverage: float = field(default=0.9, metadata={"range": (0.5, 0.999)})
    answer_accuracy: float = field(default=0.8, metadata=_SHARE)
    refer_node: str = "malignant"
    refer_sensitivity: float = field(default=0.9, metadata=_SHARE)


@dataclass(frozen=True)
class Limits:
    """`[conversion]`: what a converted model must keep of the trained one, on the validation photos.

    Attributes:
        top_agreement, leaf_agreement: least share of photos whose best node stays the same, on the top level and on the
            deepest, 0..1; levels between are reported only.
        divergence: greatest mean Kullback-Leibler divergence of the leaf probabilities, in nats.
        refer: least share of photos whose referral stays the same, 0..1.
        sensitivity_loss: greatest fall of the share of referred photos among those that should be, 0..1.
        group_slack: how much lower the shares may be within a skin type of at least 20 photos.
    """

    top_agreement: float = field(default=0.95, metadata=_SHARE)
    leaf_agreement: float = field(default=0.90, metadata=_SHARE)
    divergence: float = field(default=0.02, metadata={"range": (0.0, 100.0)})
    refer: float = field(default=0.93, metadata=_SHARE)
    sensitivity_loss: float = field(default=0.03, metadata=_SHARE)
    group_slack: float = field(default=0.05, metadata=_SHARE)


@dataclass(frozen=True)
class Config:
    """A whole config; `model` is the `Settings` of the family that `model.kind` names."""

    version: int
    model: Any
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    augmentation: Augmentation = field(default_factory=Augmentation)
    training: Training = field(default_factory=Training)
    calibration: Targets = field(default_factory=Targets)
    conversion: Limits = field(default_factory=Limits)

    def to_dict(self) -> dict[str, Any]:
        """The config as a table with every default written out."""
        return to_table(self)

    def to_toml(self) -> str:
        """The same as TOML text."""
        return to_toml(self.to_dict())


def find_config(name: str | Path) -> Path:
    """Finds a config by its path, or by the bare name of a shipped one. Raises ConfigError when there is none."""
    if Path(name).is_file():
        return Path(name)
    shipped = {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}
    if str(name) in shipped:
        return shipped[str(name)]
    raise ConfigError(f"No config {str(name)!r}: neither a file nor the name of a shipped one." + closest(name, shipped))


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a config file.

    Args:
        path: a TOML file.
        overrides: "table.key=value", the value in TOML's notation; quotes around text may be left out.
    Raises:
        ConfigError: no TOML, another version, an unknown key, or a value of the wrong type or range.
        FileError: the file cannot be read.
    """
    try:
        table = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:  # also a number of more digits than Python reads
        raise ConfigError(f"{str(path)!r} is no TOML file ({error}).") from error
    for override in overrides:
        _override(table, override)
    return config_from_dict(table)


def config_from_dict(table: Mapping[str, Any]) -> Config:
    """Reads what `Config.to_dict` wrote, or a TOML file's content. Raises ConfigError as `read_config`."""
    version = table.get("version")
    if version != VERSION or isinstance(version, bool):
        raise ConfigError(f"A config must say version = {VERSION}, the only one this toolkit knows; got {version!r}.")
    model = table.get("model")
    kind = model.get("kind") if isinstance(model, Mapping) else None
    if kind not in FAMILIES:
        raise ConfigError(f"model.kind must name a family of networks; got {kind!r}." + closest(kind, FAMILIES))
    others = read_settings(Config, {**table, "model": None})
    return dataclasses.replace(others, model=read_settings(FAMILIES[kind].Settings, model, "model"))


def difference(old: Config, new: Config) -> str | None:
    """Names the first key in which two configs differ, other than `training.workers`; None where there is none."""

    def flat(table: Mapping[str, Any], where: str = "") -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        for key, value in table.items():
            pairs |= flat(value, f"{where}{key}.") if isinstance(value, dict) else {f"{where}{key}": value}
        return pairs

    ours, theirs = flat(old.to_dict()), flat(new.to_dict())
    changed = (key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key) and key != "training.workers")
    return next(changed, None)


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set needs KEY=VALUE, such as training.epochs=20; got {override!r}.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text.strip()
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override!r}: {part!r} is a value, not a table.")
    table[parts[-1]] = value
