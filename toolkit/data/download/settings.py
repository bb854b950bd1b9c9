"""How a download behaves towards hosts and this machine."""

from __future__ import annotations

from dataclasses import dataclass

from derm_sdk import __version__

USER_AGENT = f"derm-toolkit/{__version__}"


@dataclass(frozen=True)
class Settings:
    """All of it, with its defaults.

    Attributes:
        per_host: connections to one host at most.
        connections: connections to all hosts at most.
        delay: seconds between the starts of two requests to one host, at least; robots.txt may ask for more.
        timeout: seconds without a byte after which an attempt is over; a whole attempt may take ten times as long.
        tries: attempts for one photo within a run.
        max_bytes: of one body.
        longest_wait: seconds; a host that asks for a longer one is left for another run.
        retry_failed: ask again for what a host has refused for good.
        keep_changed: keep a photo that is not the table's.
        allow_private: connect to addresses that are not of the public internet.
        any_certificate: take hosts whose certificate is not valid.
        ignore_robots: do not read robots.txt.
    """

    per_host: int = 4
    connections: int = 16
    delay: float = 0.1
    timeout: float = 30.0
    tries: int = 4
    max_bytes: int = 25_000_000
    longest_wait: float = 600.0
    retry_failed: bool = False
    keep_changed: bool = False
    allow_private: bool = False
    any_certificate: bool = False
    ignore_robots: bool = False
