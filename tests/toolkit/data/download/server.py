"""A real HTTP server on this machine that serves photos by their paths, and misbehaves where it is told to."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"<!DOCTYPE html><html><body>Welcome to our atlas</body></html>"


class Host:
    """What the server serves, and what it was asked.

    Attributes:
        bodies: path with query -> bytes.
        ways: path with query -> how to misbehave, the name of a method of `_Handler`; others are served well.
        asked: (path, range start) of each request, in order.
        sent: path -> bytes of its body that went out.
        connections: how many were opened.
        most_at_once: requests that were ever under way together.
        ranges: whether Range is honoured.
        missing: paths that are answered with 404 although there is a body.
        pause: seconds that each request takes.
    """

    def __init__(self, bodies: dict[str, bytes], ways: dict[str, str] | None = None, robots: str | None = None) -> None:
        self.bodies = bodies
        self.ways = ways or {}
        self.robots = robots
        self.missing: set[str] = set()
        self.asked: list[tuple[str, int]] = []
        self.sent: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.most_at_once = 0
        self.at_once = 0
        self.connections = 0
        self.ranges = True
        self.pause = 0.0
        self.lock = threading.Lock()
        self.url = ""

    def paths_asked(self) -> Counter[str]:
        return Counter(path for path, _ in self.asked if path != "/robots.txt")


@contextmanager
def serving(host: Host) -> Iterator[Host]:
    """Serves until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.host = host  # type: ignore[attr-defined]
    host.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def host(self) -> Host:
        return self.server.host  # type: ignore[attr-defined,no-any-return]

    def log_message(self, *_: object) -> None:
        pass

    def setup(self) -> None:
        super().setup()
        with self.host.lock:
            self.host.connections += 1

    def do_GET(self) -> None:
        host, path = self.host, self.path
        wanted = self.headers.get("Range", "")
        self.start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and host.ranges else 0
        with host.lock:
            host.asked.append((path, self.start))
            host.seen[path] += 1
            host.at_once += 1
            host.most_at_once = max(host.most_at_once, host.at_once)
        try:
            time.sleep(host.pause)
            if path == "/robots.txt":
                self.answer(host.robots.encode() if host.robots is not None else None, "text/plain")
            else:
                getattr(self, host.ways.get(path, "well"))(None if path in host.missing else host.bodies.get(path))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with host.lock:
                host.at_once -= 1

    def answer(self, body: bytes | None, kind: str = "image/jpeg", status: int = 200, length: int | None = None) -> None:
        """Answers with a body from the start asked for; `length` says another length than the true one."""
        if body is None:
            status, body, kind, self.start = 404, PAGE, "text/html", 0
        rest = body[self.start :]
        self.send_response(206 if self.start else status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(rest) if length is None else length))
        if self.start:
            self.send_header("Content-Range", f"bytes {self.start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        self.send(rest)

    def send(self, data: bytes) -> None:
        self.wfile.write(data)
        with self.host.lock:
            self.host.sent[self.path] += len(data)

    # --- Ways to answer ---

    def well(self, body: bytes | None) -> None:
        self.answer(body)

    def cut(self, body: bytes) -> None:
        """Half of what is left, then the line goes dead; later requests are answered well."""
        if self.host.seen[self.path] > 2:
            return self.answer(body)
        half = (len(body) - self.start) // 2
        self.answer(body[: self.start + half], length=len(body) - self.start)
        self.close_connection = True

    def always_cut(self, body: bytes) -> None:
        self.start = 0
        self.answer(body[: len(body) // 2], length=len(body))
        self.close_connection = True

    def unsized(self, body: bytes) -> None:
        """No length at all, as HTTP/1.0 servers do, and cut the first time."""
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Connection", "close")
        self.end_headers()
        self.send(body if self.host.seen[self.path] > 1 else body[: len(body) // 2])
        self.close_connection = True

    def wrong(self, body: bytes) -> None:
        self.answer(self.host.bodies["/other"])

    def text(self, body: bytes) -> None:
        self.answer(b"The disk is full\n" * 9)

    def page(self, body: bytes) -> None:
        self.answer(PAGE, "text/html; charset=utf-8")

    def stall(self, body: bytes) -> None:
        """A few bytes, then silence."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.send(body[:10])
        time.sleep(6)
        self.close_connection = True

    def busy(self, body: bytes) -> None:
        """429 twice, then well."""
        if self.host.seen[self.path] > 2:
            return self.answer(body)
        self.send_response(429)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def busy_for_days(self, body: bytes) -> None:
        self.send_response(503)
        self.send_header("Retry-After", "200000")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def broken(self, body: bytes) -> None:
        """500 once."""
        self.answer(body) if self.host.seen[self.path] > 1 else self.answer(PAGE, "text/html", 500)

    def redirect(self, to: str, status: int = 302) -> None:
        self.send_response(status)
        self.send_header("Location", to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def to_page(self, body: bytes) -> None:
        self.redirect("/welcome.html")

    def to_photo(self, body: bytes) -> None:
        self.redirect(f"/moved{self.path}", 301)

    def to_private(self, body: bytes) -> None:
        self.redirect("http://10.255.0.1:9/secret.jpg")

    def to_file(self, body: bytes) -> None:
        self.redirect("file:///etc/passwd")

    def to_itself(self, body: bytes) -> None:
        self.redirect(self.path)

    def huge(self, body: bytes) -> None:
        self.answer(b"\xff\xd8\xff", length=1 << 40)
        self.close_connection = True

    def endless(self, body: bytes) -> None:
        """A body of unknown length that does not end."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    def packed(self, body: bytes) -> None:
        """Compressed, although identity was asked for."""
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"\x1f\x8b\0\0")

    def forbidden(self, body: bytes) -> None:
        self.answer(PAGE, "text/html", 403)

    def dead(self, body: bytes) -> None:
        """The line is cut before a word."""
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True
