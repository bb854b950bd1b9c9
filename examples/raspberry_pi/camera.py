"""Cameras behind one small interface: `frame()` gives upright RGB pixels, `close()` frees the device."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_STALE = 4  # frames that a driver keeps: they show what was there before the trigger


class CameraLost(Exception):
    """The camera gives no picture; the text says which and why, in one sentence."""


class Camera(Protocol):
    """What the watcher needs of a camera."""

    def frame(self) -> NDArray[np.uint8]:
        """The next picture, uint8 [H, W, 3], RGB, upright. Raises CameraLost."""

    def close(self) -> None:
        """Frees the device. Closing twice does nothing."""


class OpenCVCamera:
    """Any camera that OpenCV opens, or a video file: its frames one after the other, and then it is lost."""

    def __init__(self, source: str) -> None:
        """Opens a device by its number or path, or a video file. Raises CameraLost."""
        import cv2

        self._cv2, self._source = cv2, source
        self._live = source.isdigit() or source.startswith("/dev/")
        if not source.isdigit() and not Path(source).exists():
            raise CameraLost(f"There is no camera {source!r}; plug it in, or name another with --camera.")
        self._capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
        if not self._capture.isOpened():
            self.close()
            raise CameraLost(f"The camera {source!r} cannot be opened; is another program using it?")

    def frame(self) -> NDArray[np.uint8]:
        """The next picture, uint8 [H, W, 3], RGB. Raises CameraLost."""
        for _ in range(_STALE if self._live else 0):
            self._capture.grab()
        found, bgr = self._capture.read()
        if not found:
            raise CameraLost(f"The camera {self._source!r} gives no picture any more; was it unplugged?")
        return np.asarray(self._cv2.cvtColor(bgr, self._cv2.COLOR_BGR2RGB), np.uint8)

    def close(self) -> None:
        """Frees the device."""
        self._capture.release()


class PiCamera:
    """A camera module of the Raspberry Pi, by picamera2. Not run on a board so far."""

    def __init__(self, width: int = 1640, height: int = 1232) -> None:
        """Starts the camera. Raises CameraLost."""
        try:
            from picamera2 import Picamera2

            self._camera: Any = Picamera2()
            # picamera2 names formats by the order of a word's bytes: this one lies in memory as R, G, B.
            self._camera.configure(self._camera.create_still_configuration({"size": (width, height), "format": "BGR888"}))
            self._camera.start()
        except (ImportError, RuntimeError, IndexError) as error:
            raise CameraLost(f"The camera module cannot be started: {error}.") from error

    def frame(self) -> NDArray[np.uint8]:
        """The next picture, uint8 [H, W, 3], RGB. Raises CameraLost."""
        try:
            return np.ascontiguousarray(self._camera.capture_array("main")[..., :3], np.uint8)
        except (RuntimeError, OSError, TimeoutError) as error:
            raise CameraLost(f"The camera module gives no picture any more: {error}.") from error

    def close(self) -> None:
        """Stops the camera."""
        self._camera.close()


def open_camera(name: str) -> Camera:
    """Opens "picamera2", or what OpenCV knows: a number, a device or a video file. Raises CameraLost."""
    return PiCamera() if name == "picamera2" else OpenCVCamera(name)
