"""Settings: what is wrong is named."""

from ipaddress import ip_network

import pytest

from services.webhook_gateway.settings import ProcessSettings
from shared.sealing import new_key
from shared.settings import read

GOOD = {
    "AMQP_URL": "amqp://guest:guest@127.0.0.1/",
    "SERVICE_TOKEN": "t0ken",
    "WEBHOOK_SECRET_KEYS": f"{new_key()},{new_key()}",
}


@pytest.fixture(autouse=True)
def good(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(ProcessSettings)
    assert (settings.port, settings.bot_registry_url) == (8002, "http://127.0.0.1:8003")
    assert (settings.trusted_proxies, settings.redis_url) == ((), None)
    assert all(value not in repr(settings) for value in ("t0ken", GOOD["WEBHOOK_SECRET_KEYS"]))


def test_trusted_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1,::1")
    networks = (ip_network("10.0.0.0/8"), ip_network("192.0.2.1/32"), ip_network("::1/128"))
    assert read(ProcessSettings).trusted_proxies == networks


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_SECRET_KEYS", "short"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,all"),
        ("REDIS_URL", "127.0.0.1:6379"),
        ("AMQP_URL", "memory://"),
        ("SERVICE_TOKEN", ""),
    ],
)
def test_a_bad_variable_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        read(ProcessSettings)
    [line] = capsys.readouterr().err.splitlines()
    assert (ended.value.code, line.split()[0]) == (2, name)
