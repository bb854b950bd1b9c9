"""What asks for a photo: the clock or a button."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Trigger(Protocol):
    """Something to wait for."""

    def wait(self, stop: threading.Event) -> bool:
        """Waits for the next photo. False when `stop` was set meanwhile."""


class Interval:
    """Every so many seconds, the first at once; a photo that took longer delays the next, and no two pile up."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._next = seconds, time.monotonic()

    def wait(self, stop: threading.Event) -> bool:
        """Waits until it is time."""
        stopped = stop.wait(max(0.0, self._next - time.monotonic()))
        self._next += self._seconds
        if self._next < time.monotonic():
            self._next = time.monotonic() + self._seconds
        return not stopped


class Button:
    """A button between a GPIO pin and ground, by gpiozero. Presses while a photo is worked on count once. Not run so far."""

    def __init__(self, pin: int) -> None:
        from gpiozero import Button as Pin

        self._pressed = threading.Event()
        self._button = Pin(pin, bounce_time=0.05)
        self._button.when_pressed = self._pressed.set

    def wait(self, stop: threading.Event) -> bool:
        """Waits for a press."""
        while not stop.is_set():
            if self._pressed.wait(0.25):
                self._pressed.clear()
                return True
        return False
