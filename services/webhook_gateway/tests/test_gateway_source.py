"""Whose address counts."""

from ipaddress import ip_network

import pytest

from services.webhook_gateway.source import source_of

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "source"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["52.89.214.238"], "203.0.113.9"),  # a stranger's word
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["52.89.214.238"], "52.89.214.238"),
        ("10.0.0.1", ["1.1.1.1, 52.89.214.238"], "52.89.214.238"),  # what the client itself wrote stands left
        ("10.0.0.1", ["1.1.1.1, 52.89.214.238, 10.0.0.2"], "52.89.214.238"),
        ("10.0.0.1", ["52.89.214.238", "10.0.0.2"], "52.89.214.238"),  # two headers
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["52.89.214.238, nonsense"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["::ffff:52.89.214.238"], "52.89.214.238"),
        ("2001:db8::1", ["2606:4700::1"], "2606:4700::1"),
        ("", ["52.89.214.238"], ""),
    ],
)
def test_the_nearest_address_that_is_not_a_trusted_proxys(peer: str, forwarded_for: list[str], source: str) -> None:
    assert source_of(peer, forwarded_for, TRUSTED) == source
