"""Augmentation: a photo's canvas -> another view of it, uint8 as the device would see it.

It happens before the border, on the photo: every input of the network (gray, Otsu, ...) is derived from the result by the
code that the device runs. Its randomness belongs to (seed, epoch, photo), never to the order of the calls, so neither the
number of workers nor an interruption can change a picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from derm_sdk.image import Pixels

BORDERS = {"reflect": cv2.BORDER_REFLECT_101, "nearest": cv2.BORDER_REPLICATE, "gray": cv2.BORDER_CONSTANT}
_GRAY = np.array([0.299, 0.587, 0.114])
_GEOMETRY_DRAWS, _COLOUR_DRAWS = 12, 9


@dataclass(frozen=True)
class Augmentation:
    """How far a view may differ from the photo. The defaults change nothing. Every draw is uniform unless stated.

    Attributes:
        margin: the canvas is this many times larger than the input, so that zooming in finds real detail.
        crop: (least, most) share of the photo's area in a window that lies inside the photo.
        aspect: the window's sides differ by up to this factor (log-uniform); the area stays.
        shift: the window's centre moves by up to this share of the photo's side, either way, on each axis.
        zoom: (least, most) factor on the window's side; below 1 things look larger.
        zoom_each_axis: draw the two sides' factors independently, as Keras' ImageDataGenerator does.
        rotation: degrees, either way.
        shear: horizontal shift per vertical pixel, either way.
        horizontal_flip, vertical_flip: mirror half of the views.
        brightness: (least, most) factor on every value.
        contrast: (least, most) factor on the distance from the mean gray.
        saturation: (least, most) factor on the distance from the pixel's gray.
        channel_gain: each channel is multiplied by 1 plus up to this, either way: another white balance.
        channel_shift: gray levels added to each channel, either way, 0..255.
        border: what lies outside the photo: its mirror image ("reflect"), its edge ("nearest") or gray 128 ("gray").
    """

    margin: float = field(default=1.0, metadata={"range": (1.0, 4.0)})
    crop: tuple[float, float] = field(default=(1.0, 1.0), metadata={"range": (0.01, 1.0)})
    aspect: float = field(default=1.0, metadata={"range": (1.0, 4.0)})
    shift: float = field(default=0.0, metadata={"range": (0.0, 1.0)})
    zoom: tuple[float, float] = field(default=(1.0, 1.0), metadata={"range": (0.1, 10.0)})
    zoom_each_axis: bool = False
    rotation: float = field(default=0.0, metadata={"range": (0.0, 180.0)})
    shear: float = field(default=0.0, metadata={"range": (0.0, 2.0)})
    horizontal_flip: bool = False
    vertical_flip: bool = False
    brightness: tuple[float, float] = field(default=(1.0, 1.0), metadata={"range": (0.0, 10.0)})
    contrast: tuple[float, float] = field(default=(1.0, 1.0), metadata={"range": (0.0, 10.0)})
    saturation: tuple[float, float] = field(default=(1.0, 1.0), metadata={"range": (0.0, 10.0)})
    channel_gain: float = field(default=0.0, metadata={"range": (0.0, 1.0)})
    channel_shift: float = field(default=0.0, metadata={"range": (0.0, 255.0)})
    border: str = field(default="reflect", metadata={"choices": tuple(BORDERS)})


def random_stream(seed: int, epoch: int, digest: str) -> np.random.Generator:
    """The random numbers of one photo in one epoch.

    Args:
        seed: of the training, 0 or more.
        epoch: 0 or more.
        digest: of the photo, hex digits.
    """
    return np.random.Generator(np.random.PCG64((seed, epoch, int(digest, 16))))


def augment(canvas: Pixels, size: int, settings: Augmentation, stream: np.random.Generator) -> Pixels:
    """Draws a view of a photo.

    Args:
        canvas: uint8 [C, C, 3], the photo resized to C >= size.
        size: side of the view in pixels.
        settings: how far it may differ.
        stream: as `random_stream` gives it; the same number of draws is taken whatever the settings.
    Returns:
        uint8 [size, size, 3], a new array.
    """
    geometry, colour = stream.random(_GEOMETRY_DRAWS), stream.random(_COLOUR_DRAWS)
    view = cv2.warpAffine(
        canvas,
        _window(canvas.shape[0], size, settings, geometry),
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=BORDERS[settings.border],
        borderValue=(128, 128, 128),
    )
    return _recolour(view, settings, colour)


def _window(side: int, size: int, settings: Augmentation, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine map from a view's pixels to the canvas', float64 [2, 3]: scale and flip, then shear, rotate, shift."""
    area, aspect = _between(settings.crop, draws[0]), settings.aspect ** _either_way(draws[1])
    sides = np.minimum(1.0, np.sqrt([area * aspect, area / aspect]))
    centre = (1 - sides) * _either_way(draws[2:4]) / 2 + settings.shift * _either_way(draws[4:6])
    sides *= _between(settings.zoom, draws[6:8] if settings.zoom_each_axis else draws[6])
    mirrored = (draws[8:10] < 0.5) & (settings.horizontal_flip, settings.vertical_flip)
    sides *= np.where(mirrored, -1, 1)
    angle, shear = math.radians(settings.rotation * _either_way(draws[10])), settings.shear * _either_way(draws[11])

    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = turn @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag(sides) * (side / size)
    offset = (side - 1) / 2 + side * centre - matrix @ np.full(2, (size - 1) / 2)
    return np.column_stack([matrix, offset])


def _recolour(view: Pixels, settings: Augmentation, draws: NDArray[np.float64]) -> Pixels:
    """One affine map of the colours: saturation, contrast about the mean gray, brightness, channel gain and shift."""
    saturation = _between(settings.saturation, draws[0])
    contrast = _between(settings.contrast, draws[1])
    brightness = _between(settings.brightness, draws[2])
    gain = 1 + settings.channel_gain * _either_way(draws[3:6])
    shift = settings.channel_shift * _either_way(draws[6:9])
    mean = float(_GRAY @ np.array(cv2.mean(view)[:3]))
    matrix = saturation * np.eye(3) + (1 - saturation) * np.tile(_GRAY, (3, 1))
    matrix *= brightness * contrast * gain[:, None]
    offset = brightness * (1 - contrast) * mean * gain + shift
    if np.array_equal(matrix, np.eye(3)) and not offset.any():
        return view
    return np.asarray(cv2.transform(view, np.column_stack([matrix, offset])))


def _between(limits: tuple[float, float], draw: Any) -> Any:
    """Uniform between two limits, from a draw in [0, 1)."""
    return limits[0] + (limits[1] - limits[0]) * draw


def _either_way(draw: Any) -> Any:
    """Uniform in [-1, 1), from a draw in [0, 1)."""
    return 2 * draw - 1
