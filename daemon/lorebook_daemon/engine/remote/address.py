"""Where an engine elsewhere is, and whether the settings let this machine talk to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

import httpx

from lorebook_api.errors import BadRequest
from lorebook_daemon.settings import Settings


@dataclass(frozen=True)
class Address:
    """A server's address without `/v1`, and the key that it wants, empty where it wants none."""

    url: str
    key: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """Host and port, as messages name the server."""
        return httpx.URL(self.url).netloc.decode("ascii")

    @property
    def loopback(self) -> bool:
        """Whether nothing that is sent there leaves this machine."""
        host = httpx.URL(self.url).host
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def address_of(settings: Settings) -> Address:
    """Return where `engine = "openai"` sends its requests.

    Raises BadRequest where no address is set, and where `settings.offline` forbids the one that is: only the
    loopback interface is no network.
    """
    if not settings.engine_url:
        hint = "Say where the server is: LOREBOOK_ENGINE_URL=http://localhost:8000"
        raise BadRequest("The engine is set to openai, and engine_url is empty.", hint)
    try:
        address = Address(str(httpx.URL(settings.engine_url)).rstrip("/"), settings.engine_key)
    except httpx.InvalidURL as error:
        raise BadRequest(f"engine_url is no address: {error}.", "For example http://localhost:8000") from error
    if settings.offline and not address.loopback:
        raise BadRequest(
            f"The engine is at {address.host}, and lorebook is set to stay offline.",
            "Take LOREBOOK_OFFLINE away, or set LOREBOOK_ENGINE_URL to a server on this machine.",
        )
    return address
