"""Serves a folder to browsers of this machine, with the headers that the page needs: python examples/web/serve.py [FOLDER]

A server for development. Any other that sends the same headers does as well: docs/web.md, "Headers".
"""

from __future__ import annotations

import argparse
import http.server
from functools import partial
from pathlib import Path
from typing import Any

BUILT = Path(__file__).resolve().parents[2] / "build" / "web"

# What a photo's page may do: load its own files. `wasm-unsafe-eval` lets it compile WebAssembly, and no text as code.
PAGE = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; worker-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# What the workers that see the photo may do: run their scripts, and ask nobody for anything.
WORKER = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'none'"

# Lets the page have memory that several threads share.
ISOLATION = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}


def policy(path: str) -> str:
    """The Content-Security-Policy of a file."""
    in_worker = path.endswith("/worker.js") or "/litert/" in path
    return WORKER if in_worker else PAGE


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of one folder, no lists of it."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript", ".wasm": "application/wasm", ".derm": "application/octet-stream",
        ".webmanifest": "application/manifest+json",
    }  # fmt: skip

    def __init__(self, *args: Any, isolated: bool = True, **options: Any) -> None:
        self._isolated = isolated
        super().__init__(*args, **options)

    def end_headers(self) -> None:
        sent = ALWAYS | (ISOLATION if self._isolated else {})
        for name, value in (sent | {"Content-Security-Policy": policy(self.path.split("?")[0])}).items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def server(folder: Path, port: int = 0, isolated: bool = True) -> http.server.ThreadingHTTPServer:
    """A server on this machine alone; port 0: any that is free."""
    handler = partial(Handler, directory=str(folder), isolated=isolated)
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves a folder to browsers of this machine.")
    parser.add_argument("folder", type=Path, nargs="?", default=BUILT)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--not-isolated", action="store_true", help="without the headers that threads need")
    given = parser.parse_args()
    if not (given.folder / "index.html").is_file():
        parser.exit(2, f"There is no page in {given.folder}; 'make web' makes it.\n")
    try:
        opened = server(given.folder, given.port, not given.not_isolated)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        parser.exit(2, f"Cannot listen on port {given.port}: {reason}; choose another from 1 to 65535 with --port.\n")
    with opened as running:
        print(f"http://127.0.0.1:{running.server_port}", flush=True)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
