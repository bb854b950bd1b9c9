"""What stands between a skin and a phone's file: light, lens, sensor and compression, each as a function of a picture.

A data set from an atlas knows little of them; the users' photos are full of them. Every function takes uint8 [S, S, 3] RGB,
leaves it as it is, and returns uint8 [S, S, 3]. Lengths are shares of the side S, so they mean the same at every size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from derm_sdk.image import Pixels

ENCODING = 2.2  # exponent between stored values and light; sRGB's own curve differs by less than a view can show
_WIEN_NM = 14.388  # second radiation constant, nm per reciprocal megakelvin: c2 = 0.014388 m K
_CHANNELS_NM = np.array([600.0, 540.0, 450.0])  # about where the sensitivities of R, G and B peak
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_LEVELS = np.arange(256) / 255
_NORMAL = np.array([NormalDist().inv_cdf((level + 0.5) / 256) for level in range(256)])
_NORMAL /= _NORMAL.std()
_READ_SHARE = 0.25  # of a mid-bright pixel's noise variance, what does not grow with the light
_LIGHT_POINTS = 32  # light changes slowly: its field is computed on a grid of so many points a side
_HAIR_POINTS = np.linspace(0.0, 1.0, 12)[:, None]


def white_balance_gains(mired: float) -> NDArray[np.float64]:
    """What a change of the light's colour temperature does to R, G and B, in linear light.

    Args:
        mired: change of 1e6 / temperature in kelvin; above 0 the light is warmer. 50 is about a cloudy sky against the sun.
    Returns:
        float64 [3], gains that keep the luminance of gray.
    Source: Wien's approximation of a black body: the log of a wavelength's radiance is linear in 1 / temperature.
    """
    gains = np.exp(-_WIEN_NM * mired / _CHANNELS_NM)
    return np.asarray(gains / (_LUMINANCE @ gains))


def expose(view: Pixels, stops: float = 0.0, gamma: float = 1.0, gains: NDArray[np.float64] | None = None) -> Pixels:
    """Another exposure, tone curve and white balance; what would be brighter than white is white.

    Args:
        stops: doublings of the light.
        gamma: exponent on the values, 0..1; above 1 the middle is darker, black and white stay.
        gains: of R, G and B in linear light; none for 1.
    """
    scale = (2.0**stops * (np.ones(3) if gains is None else gains)) ** (1 / ENCODING)
    table = 255 * np.minimum(1.0, _LEVELS[:, None] ** gamma * scale)
    return np.asarray(cv2.LUT(view, np.rint(table).astype(np.uint8)[:, None, :]))


def shade(view: Pixels, side_loss: float, corner_loss: float, angle: float) -> Pixels:
    """Uneven light: darker towards one side, and towards the corners (vignetting).

    Args:
        side_loss, corner_loss: share of the light lost at the darkest rim and in the corners, 0..1.
        angle: where the dark side lies, radians.
    """
    across = np.linspace(-1.0, 1.0, _LIGHT_POINTS)
    x, y = across[None, :], across[:, None]
    towards = (x * math.cos(angle) + y * math.sin(angle)) / (abs(math.cos(angle)) + abs(math.sin(angle)))
    light = (1 - side_loss * (1 + towards) / 2) * (1 - corner_loss * (x * x + y * y) / 2)
    factor = cv2.resize(np.float32(light ** (1 / ENCODING)), view.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(view, cv2.merge([factor] * 3), dtype=cv2.CV_8U))


def defocus(view: Pixels, radius: float) -> Pixels:
    """Out of focus: a Gaussian whose standard deviation is `radius` of the side."""
    sigma = radius * view.shape[0]
    return view if sigma < 0.2 else np.asarray(cv2.GaussianBlur(view, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101))


def shake(view: Pixels, length: float, angle: float) -> Pixels:
    """Camera shake: the mean along a line, `length` of the side long, at `angle` radians."""
    reach = length * view.shape[0] / 2
    if reach < 0.3:
        return view
    half = math.ceil(reach)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    # Sixteenths of a pixel, so that a line between two pixels is shared by both.
    end = np.rint(16 * reach * np.array([math.cos(angle), math.sin(angle)])).astype(int)
    centre = np.array([16 * half, 16 * half])
    cv2.line(kernel, (centre - end).tolist(), (centre + end).tolist(), (1.0,), 1, cv2.LINE_4, 4)
    return np.asarray(cv2.filter2D(view, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101))


def lose_detail(view: Pixels, factor: float) -> Pixels:
    """Shrinks the picture to `factor` of its side, 0..1, and blows it up again, as a thumbnail or a digital zoom does."""
    side = max(2, round(view.shape[0] * factor))
    if side >= view.shape[0]:
        return view
    small = cv2.resize(view, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, view.shape[1::-1], interpolation=cv2.INTER_LINEAR))


def add_noise(view: Pixels, level: float, stream: np.random.Generator) -> Pixels:
    """Sensor noise: Gaussian, its variance partly constant and partly growing with the light.

    Args:
        level: standard deviation in gray levels at value 128.
        stream: gives one byte per value; a table makes a Gaussian of it, which reaches to 2.9 standard deviations.
    """
    deviation = level * np.sqrt(_READ_SHARE + (1 - _READ_SHARE) * _LEVELS * 2)
    drawn = np.frombuffer(stream.bytes(view.size), np.uint8).reshape(view.shape)
    noise = cv2.LUT(drawn, _NORMAL.astype(np.float32))
    cv2.multiply(noise, cv2.LUT(view, deviation.astype(np.float32)), dst=noise)
    return np.asarray(cv2.add(view, noise, dtype=cv2.CV_8U))


def recompress(view: Pixels, quality: int) -> Pixels:
    """Writes and reads the picture as a JPEG of the given quality, 1..100, colours at half resolution."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(view, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))


def draw_hairs(view: Pixels, count: int, stream: np.random.Generator) -> Pixels:
    """Lays `count` dark, curved hairs over the picture, side by side in about one direction, from rim to rim or shorter."""
    side, direction = view.shape[0], stream.random() * math.tau
    mask = np.zeros(view.shape[:2], np.uint8)
    for middle_x, middle_y, turn, length, bend, strength in stream.random((count, 6)):
        angle = direction + (turn - 0.5) * 1.2
        along = np.array([math.cos(angle), math.sin(angle)]) * (0.1 + 0.4 * length)
        normal = np.array([-along[1], along[0]]) * (bend - 0.5)
        share = 2 * _HAIR_POINTS - 1
        points = np.array([middle_x, middle_y]) + along * share + normal * share**2
        cv2.polylines(mask, [np.rint(points * side * 16).astype(np.int32)], False, 100 + 120 * strength, 1, cv2.LINE_AA, 4)
    colour = stream.random() * np.array([60.0, 45.0, 35.0])  # from black to brown
    return _cover(view, mask, colour)


def draw_glare(view: Pixels, count: int, stream: np.random.Generator) -> Pixels:
    """Puts `count` soft white spots on the picture, near each other, as moist skin mirrors a lamp."""
    side, centre = view.shape[0], 0.2 + 0.6 * stream.random(2)
    mask = np.zeros(view.shape[:2], np.uint8)
    for x, y, width, height, turn, strength in stream.random((count, 6)):
        place = (centre + (np.array([x, y]) - 0.5) * 0.5) * side * 16
        axes = (0.003 + 0.03 * np.array([width, height]) ** 2) * side * 16
        cv2.ellipse(
            mask, _integers(place), _integers(axes), turn * 180, 0, 360, 90 + 165 * strength, cv2.FILLED, cv2.LINE_AA, 4
        )
    return _cover(view, cv2.GaussianBlur(mask, (0, 0), max(0.3, 0.006 * side)), np.full(3, 255.0))


def erase(view: Pixels, area: float, aspect: float, place: Sequence[float]) -> Pixels:
    """Hides a rectangle under the picture's mean colour, so that no single spot is all that is learned.

    Args:
        area: share of the picture, 0..1.
        aspect: height over width.
        place: x and y of its upper left corner, shares of the room there is, 0..1.
    Source: Zhong et al. 2020, "Random Erasing Data Augmentation", with one colour in place of noise.
    """
    side = view.shape[0]
    height, width = (min(side, round(side * math.sqrt(each))) for each in (area * aspect, area / aspect))
    left, top = round(place[0] * (side - width)), round(place[1] * (side - height))
    erased = view.copy()
    erased[top : top + height, left : left + width] = np.rint(cv2.mean(view)[:3])
    return erased


def _cover(view: Pixels, mask: Pixels, colour: NDArray[np.float64]) -> Pixels:
    """Blends a colour over the picture; mask uint8 [S, S], 255 where only the colour is seen."""
    below = cv2.multiply(view, cv2.merge([255 - mask] * 3), scale=1 / 255)
    above = cv2.merge([cv2.convertScaleAbs(mask, alpha=float(each) / 255) for each in colour])
    return np.asarray(cv2.add(below, above))


def _integers(pair: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(pair[0])), round(float(pair[1]))
