"""Where a request came from, past the proxies that are ours."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Networks = tuple[IPv4Network | IPv6Network, ...]


def source_of(peer: str, forwarded_for: Sequence[str], trusted: Networks) -> str:
    """The nearest address that is not a trusted proxy's.

    `forwarded_for` are the request's `X-Forwarded-For` headers. Each proxy adds on the right whom it heard from, so
    the list is walked from there, and only as long as the speaker is trusted: what a stranger wrote counts nothing.
    """
    hops = [hop.strip() for line in forwarded_for for hop in line.split(",")]
    source = _address(peer)
    while source is not None and hops and any(source in network for network in trusted):
        before = _address(hops.pop())
        if before is None:
            break
        source = before
    return str(source) if source is not None else peer


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # an IPv4 caller on a socket that listens to both families
    return getattr(address, "ipv4_mapped", None) or address
