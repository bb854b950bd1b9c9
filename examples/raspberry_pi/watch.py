"""Classifies what a camera sees, on a button or every so many seconds, into a log of JSON lines: docs/raspberry-pi.md.

    python watch.py --camera 0 --every 60 --log answers.jsonl

Runs without a screen until it is stopped (Ctrl-C, systemctl stop). A camera that is unplugged, or a card that is full, is
told in one sentence and tried again, less and less often; the photo that was asked for is taken once it works again. Photos
are not kept. A research tool, not a medical device.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from camera import Camera, CameraLost, open_camera
from log import JsonLog
from trigger import Button, Interval, Trigger

from derm_sdk import Classifier, DermError

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # seconds between two tries


class Watcher:
    """Takes a photo at each trigger, classifies it, and logs the result."""

    def __init__(
        self, classifier: Classifier, opened: Callable[[], Camera], log: JsonLog, wait: Callable[[float], object]
    ) -> None:
        """`opened` opens the camera; `wait` sleeps so many seconds, or less when the watcher is to stop."""
        self._classifier, self._opened, self._log, self._wait = classifier, opened, log, wait
        self._camera: Camera | None = None

    def run(self, trigger: Trigger, stop: threading.Event, count: int | None = None) -> None:
        """Works until `stop` is set, or `count` photos are logged."""
        done = 0
        try:
            while done != count and trigger.wait(stop):
                done += self._photo(stop)
        finally:
            self._close()

    def _photo(self, stop: threading.Event) -> bool:
        """One photo, however long it takes to get it. False when it was given up because of `stop`."""
        pixels = self._until_it_works(self._frame, stop)
        if pixels is None:
            return False
        try:
            entry = {"time": now(), "result": self._classifier.classify(pixels).to_dict()}
        except DermError as error:
            tell(str(error))
            entry = {"time": now(), "problem": str(error)}
        return self._until_it_works(lambda: self._logged(entry), stop) is not None

    def _until_it_works(self, action: Callable[[], Any], stop: threading.Event) -> Any:
        """Its value; None when `stop` was set before it worked. Each new problem is told once."""
        seconds, told = _FIRST_WAIT, ""
        while True:
            try:
                found = action()
            except (CameraLost, OSError) as error:
                if str(error) != told:
                    told = str(error)
                    tell(told)
                if stop.is_set():
                    return None
                self._wait(seconds)
                seconds = min(2 * seconds, _LONGEST_WAIT)
            else:
                if told:
                    tell("It works again.")
                return found

    def _frame(self) -> Any:
        try:
            self._camera = self._camera or self._opened()
            return self._camera.frame()
        except CameraLost:
            self._close()  # a device that comes back has to be opened anew
            raise

    def _logged(self, entry: dict[str, Any]) -> bool:
        self._log.append(entry)
        return True

    def _close(self) -> None:
        if self._camera is not None:
            self._camera.close()
        self._camera = None


def now() -> str:
    """The time in UTC, as in 2026-11-23T08:00:00.000+00:00."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def tell(sentence: str) -> None:
    """To the terminal, or to the journal of a service; a full card must not end the watching."""
    with contextlib.suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)


def main() -> None:
    """Reads the command line and watches."""
    parser = argparse.ArgumentParser(description="Classifies what a camera sees into a log of JSON lines.")
    parser.add_argument("--camera", default="picamera2", help="picamera2, or a number, device or video file for OpenCV")
    parser.add_argument("--model", type=Path, help="a .derm file; the starter without it")
    parser.add_argument("--log", type=Path, default=Path("answers.jsonl"))
    parser.add_argument("--every", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--button", type=int, metavar="PIN", help="a GPIO pin, instead of the clock")
    parser.add_argument("--count", type=int, help="stop after so many photos")
    given = parser.parse_args()
    if not 0 <= given.every < threading.TIMEOUT_MAX:
        parser.error(f"--every must be seconds, 0 or more; got {given.every:g}.")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Classifier(given.model) as classifier:
            trigger: Trigger = Interval(given.every) if given.button is None else Button(given.button)
            log = JsonLog(given.log)
            Watcher(classifier, lambda: open_camera(given.camera), log, stop.wait).run(trigger, stop, given.count)
            log.close()
    except DermError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"The log {str(given.log)!r} cannot be written: {error.strerror or error}.")
    except ImportError as error:
        sys.exit(f"{error}; docs/raspberry-pi.md says how to install it.")


if __name__ == "__main__":
    main()
