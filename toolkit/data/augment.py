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

from . import camera

BORDERS = {"reflect": cv2.BORDER_REFLECT_101, "nearest": cv2.BORDER_REPLICATE, "gray": cv2.BORDER_CONSTANT}
_GRAY = np.array([0.299, 0.587, 0.114])
_GEOMETRY_DRAWS, _COLOUR_DRAWS = 12, 9
_CAMERA_EFFECTS, _COVERS, _DRAWS_EACH = 9, 3, 4


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
        camera_chance: share of the views that each of the effects from here to `jpeg` touches, independently of the others;
            those that it touches are drawn up to the named strength.
        exposure: doublings of the light, either way.
        gamma: exponent on the values, up to this or down to its inverse (log-uniform).
        white_balance: change of the light's colour temperature in mired (1e6 / kelvin), either way.
        shade: share of the light lost towards one side.
        vignette: share of the light lost in the corners.
        defocus: standard deviation of a Gaussian blur, share of the side.
        shake: length of a blur along a line in any direction, share of the side.
        noise: standard deviation of the sensor's noise in gray levels at value 128.
        detail: least factor by which the side is shrunk and blown up again (log-uniform up to 1).
        jpeg: least quality at which the view is written and read as a JPEG; up to 100. 100 for never.
        cover_chance: share of the views that each of the effects from here on touches, independently of the others.
        hairs: most hairs drawn over the view.
        glare: most white spots drawn on it.
        erase: largest share of it that a rectangle of its mean colour hides.
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
    camera_chance: float = field(default=0.5, metadata={"range": (0.0, 1.0)})
    exposure: float = field(default=0.0, metadata={"range": (0.0, 4.0)})
    gamma: float = field(default=1.0, metadata={"range": (1.0, 4.0)})
    white_balance: float = field(default=0.0, metadata={"range": (0.0, 300.0)})
    shade: float = field(default=0.0, metadata={"range": (0.0, 1.0)})
    vignette: float = field(default=0.0, metadata={"range": (0.0, 1.0)})
    defocus: float = field(default=0.0, metadata={"range": (0.0, 0.1)})
    shake: float = field(default=0.0, metadata={"range": (0.0, 0.1)})
    noise: float = field(default=0.0, metadata={"range": (0.0, 64.0)})
    detail: float = field(default=1.0, metadata={"range": (0.02, 1.0)})
    jpeg: int = field(default=100, metadata={"range": (1, 100)})
    cover_chance: float = field(default=0.25, metadata={"range": (0.0, 1.0)})
    hairs: int = field(default=0, metadata={"range": (0, 100)})
    glare: int = field(default=0, metadata={"range": (0, 100)})
    erase: float = field(default=0.0, metadata={"range": (0.0, 0.5)})


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
    lens, covers = stream.random((_CAMERA_EFFECTS, _DRAWS_EACH)), stream.random((_COVERS, _DRAWS_EACH))
    view = cv2.warpAffine(
        canvas,
        _window(canvas.shape[0], size, settings, geometry),
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=BORDERS[settings.border],
        borderValue=(128, 128, 128),
    )
    view = _on_the_skin(view, settings, covers, stream)
    view = _in_the_lens(view, settings, lens)
    view = _recolour(view, settings, colour)
    view = _in_the_phone(view, settings, lens, stream)
    return _erased(view, settings, covers[2])


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


def _on_the_skin(view: Pixels, settings: Augmentation, draws: NDArray[np.float64], stream: np.random.Generator) -> Pixels:
    """Hairs and glare: draws float64 [>= 2, 4], of each a chance and a number."""
    hairs, glare = (
        0 if row[0] >= settings.cover_chance else math.floor(1 + row[1] * most)
        for row, most in zip(draws[:2], (settings.hairs, settings.glare), strict=True)
    )
    if settings.hairs and hairs:
        view = camera.draw_hairs(view, hairs, _side_stream(stream, 1))
    if settings.glare and glare:
        view = camera.draw_glare(view, glare, _side_stream(stream, 2))
    return view


def _in_the_lens(view: Pixels, settings: Augmentation, draws: NDArray[np.float64]) -> Pixels:
    """Uneven light, then blur: draws float64 [>= 4, 4], of each a chance, a strength and a direction."""
    chosen = draws[:, 0] < settings.camera_chance
    side_loss, corner_loss, sigma, length = (
        np.array([settings.shade, settings.vignette, settings.defocus, settings.shake]) * draws[:4, 1] * chosen[:4]
    )
    if side_loss or corner_loss:
        view = camera.shade(view, side_loss, corner_loss, math.tau * draws[0, 2])
    if sigma:
        view = camera.defocus(view, sigma)
    if length:
        view = camera.shake(view, length, math.tau * draws[3, 2])
    return view


def _in_the_phone(view: Pixels, settings: Augmentation, draws: NDArray[np.float64], stream: np.random.Generator) -> Pixels:
    """Exposure and colour, noise, lost detail, compression: draws float64 [>= 9, 4], of each a chance and a strength."""
    chosen = draws[:, 0] < settings.camera_chance
    stops, mired = np.array([settings.exposure, settings.white_balance]) * _either_way(draws[[4, 5], 1]) * chosen[[4, 5]]
    gamma = settings.gamma ** _either_way(draws[4, 2]) if draws[4, 3] < settings.camera_chance else 1.0
    if stops or mired or gamma != 1.0:
        view = camera.expose(view, stops, gamma, camera.white_balance_gains(mired))
    if settings.noise and chosen[6]:
        view = camera.add_noise(view, settings.noise * draws[6, 1], _side_stream(stream, 3))
    if settings.detail < 1 and chosen[7]:
        view = camera.lose_detail(view, settings.detail ** draws[7, 1])
    if settings.jpeg < 100 and chosen[8]:
        view = camera.recompress(view, round(_between((settings.jpeg, 100), draws[8, 1])))
    return view


def _erased(view: Pixels, settings: Augmentation, draws: NDArray[np.float64]) -> Pixels:
    """A rectangle hidden: draws float64 [4], a chance, an area and a place."""
    if not settings.erase or draws[0] >= settings.cover_chance:
        return view
    aspect = 2.0 ** _either_way(draws[0] / settings.cover_chance)  # below its chance the first draw is still uniform
    return camera.erase(view, settings.erase * draws[1], aspect, draws[2:])


def _side_stream(stream: np.random.Generator, number: int) -> np.random.Generator:
    """Random numbers for one effect that needs many: none of them is taken from the others' stream."""
    return np.random.Generator(stream.bit_generator.jumped(number))


def _between(limits: tuple[float, float], draw: Any) -> Any:
    """Uniform between two limits, from a draw in [0, 1)."""
    return limits[0] + (limits[1] - limits[0]) * draw


def _either_way(draw: Any) -> Any:
    """Uniform in [-1, 1), from a draw in [0, 1)."""
    return 2 * draw - 1
