"""One request: redirects followed, hosts treated with manners, and every failure given a name."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpcore
import httpx
from protego import Protego

from derm_sdk.errors import DermError

from .addresses import PublicTransport
from .hosts import Host
from .reasons import Refused
from .settings import USER_AGENT, Settings

_MOST_REDIRECTS = 5
_LONGEST_ROBOTS = 500 * 1024  # what RFC 9309 asks a crawler to read at least
_LONGEST_DRAINED = 1 << 16
_LONGEST_CONNECT = 10.0


@dataclass(frozen=True)
class Answer:
    """A response whose body waits to be read; `redirected` when another URL than the one asked for gave it."""

    response: httpx.Response
    redirected: bool


class Web:
    """The network, as one run sees it; use it as an asynchronous context.

    Args:
        settings: limits and manners.
        notify: called with a sentence when a host asks for something or is given up.
    """

    def __init__(self, settings: Settings, notify: Callable[[str], None]) -> None:
        self._settings = settings
        self._notify = notify
        self._hosts: dict[str, Host] = {}

    async def __aenter__(self) -> Web:
        settings = self._settings
        connect = min(settings.timeout, _LONGEST_CONNECT)
        self._client = httpx.AsyncClient(
            transport=PublicTransport(settings.connections, settings.allow_private, settings.any_certificate),
            timeout=httpx.Timeout(settings.timeout, connect=connect, pool=None),
            headers={"User-Agent": USER_AGENT, "Accept": "image/*", "Accept-Encoding": "identity"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # a host could fill the memory with them
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    def host(self, url: str) -> Host:
        """The host of a URL. Raises Refused, "bad_url"."""
        name = _origin(_parsed(url))
        if name not in self._hosts:
            self._hosts[name] = Host(name, self._settings, self._notify)
        return self._hosts[name]

    @contextlib.asynccontextmanager
    async def get(self, url: str, headers: Mapping[str, str] | None = None, robots: bool = True) -> AsyncIterator[Answer]:
        """Asks for a URL; what fails inside the block while the body is read is named, too.

        Args:
            url: absolute, http or https.
            headers: beside our own.
            robots: obey the robots.txt of every host on the way.
        Raises:
            Refused: with a reason.
        """
        for hop in range(_MOST_REDIRECTS + 1):
            target, host = _parsed(url), self.host(url)
            if robots and not self._settings.ignore_robots:
                await self._obey_robots(host, url)
            async with host.slot():
                with _named(host):
                    async with (
                        asyncio.timeout(10 * self._settings.timeout),
                        self._client.stream("GET", target, headers=headers) as response,
                    ):
                        try:
                            _take(host, response)
                            if not response.has_redirect_location:
                                yield Answer(response, redirected=hop > 0)
                                await _drain(response)
                                return
                        except Refused:
                            await _drain(response)
                            raise
                        await _drain(response)
                        url = str(response.url.join(response.headers["location"]))
        raise Refused("redirected", f"more than {_MOST_REDIRECTS} redirects")

    async def _obey_robots(self, host: Host, url: str) -> None:
        async with host.robots_lock:
            if host.robots is None:
                host.obey(Protego.parse(await self._robots_text(host)))
        assert host.robots is not None
        if not host.robots.can_fetch(url, USER_AGENT):
            raise Refused("robots", f"{host.name}/robots.txt")

    async def _robots_text(self, host: Host) -> str:
        """A host's robots.txt; "" where it has none (RFC 9309, 2.3.1.3). A host at fault is asked again later."""
        text = b""
        try:
            async with self.get(f"{host.name}/robots.txt", robots=False) as answer:
                if answer.response.status_code == 200 and _is_text(answer.response):
                    async for piece in answer.response.aiter_raw():
                        text += piece
                        if len(text) > _LONGEST_ROBOTS:
                            break
        except Refused as refused:
            if refused.reason not in ("redirected", "bad_url"):
                raise
        return text[:_LONGEST_ROBOTS].decode("utf-8", "replace")


async def _drain(response: httpx.Response) -> None:
    """Reads a short body that nobody wants, so that the connection can be used again instead of opening another."""
    length = response.headers.get("content-length", "")
    if not response.is_stream_consumed and length.isascii() and length.isdecimal() and int(length[:9]) <= _LONGEST_DRAINED:
        with contextlib.suppress(httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError):
            async for _ in response.aiter_raw():
                pass


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise Refused("bad_url", f"{url} ({error})") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        raise Refused("bad_url", url)
    return parsed


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _is_text(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    return kind == "text/plain" and response.headers.get("content-encoding", "identity") == "identity"


def _take(host: Host, response: httpx.Response) -> None:
    """What the status says about the host rather than about the photo."""
    status = response.status_code
    if status == 429 or (status == 503 and "retry-after" in response.headers):
        host.wait(response.headers.get("retry-after"))
        raise Refused("busy", f"status {status}")
    host.answered()
    if status >= 500:
        raise Refused("server_error", f"status {status}")


@contextlib.contextmanager
def _named(host: Host) -> Iterator[None]:
    """Turns what goes wrong on the network into Refused, and tells the host's record of it."""
    try:
        yield
    except (TimeoutError, httpcore.TimeoutException) as error:
        refused = Refused("timeout", str(error) or "no byte for too long")
    except (httpcore.ConnectError, httpcore.NetworkError) as error:
        text = str(error)
        if "CERTIFICATE" in text.upper():
            raise Refused("certificate", text) from error
        refused = Refused("unreachable" if isinstance(error, httpcore.ConnectError) else "cut_off", text)
    except httpcore.ProtocolError as error:
        raise Refused("cut_off", str(error)) from error
    except DermError:
        raise
    except OSError as error:  # TLS lets some through
        raise Refused("cut_off", str(error)) from error
    except (httpx.InvalidURL, httpx.HTTPError, ValueError) as error:
        raise Refused("redirected", f"to no address ({error})") from error
    else:
        return
    if refused.reason != "cut_off":
        host.failed(refused.reason, refused.detail)
    raise refused
