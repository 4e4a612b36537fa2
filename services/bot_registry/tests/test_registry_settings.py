"""A missing or bad variable is one clear line that names it, and never repeats a secret."""

import pytest

from services.bot_registry.dispatcher.settings import Settings as DispatcherSettings
from services.bot_registry.settings import ProcessSettings
from shared import sealing
from shared.settings import CommonSettings, read

BROKER = "amqp://guest:guest@127.0.0.1:5672/"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in {
        "BOT_REGISTRY_DATABASE_URL": "sqlite+aiosqlite:///nowhere.db",
        "AMQP_URL": BROKER,
        "SERVICE_TOKEN": "a-service-token-of-good-length",
        "WEBHOOK_SECRET_KEYS": f"{sealing.new_key()},{sealing.new_key()}",
        "TOKEN_PRIVATE_KEY": sealing.new_key(),
        "SEALING_PUBLIC_KEY": sealing.public_key_of(sealing.new_key()),
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refusal(kind: type[CommonSettings], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        read(kind)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("name", ["WEBHOOK_SECRET_KEYS", "TOKEN_PRIVATE_KEY", "SEALING_PUBLIC_KEY", "SERVICE_TOKEN"])
def test_a_key_that_is_missing_or_bad_is_named_and_not_repeated(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    environment.setenv(name, "no-such-key")
    line = refusal(ProcessSettings, capsys)
    assert line.startswith(f"{name} is not usable")
    assert "no-such-key" not in line
    environment.delenv(name)
    assert refusal(ProcessSettings, capsys) == f"{name} is missing"


def test_half_an_administrator_is_refused(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environment.setenv("ADMIN_PASSWORD", "without-an-e-mail")
    line = refusal(ProcessSettings, capsys)
    assert "ADMIN_EMAIL and ADMIN_PASSWORD go together" in line
    assert "without-an-e-mail" not in line


def test_the_dispatcher_asks_for_no_key(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("SERVICE_TOKEN", "WEBHOOK_SECRET_KEYS", "TOKEN_PRIVATE_KEY", "SEALING_PUBLIC_KEY"):
        environment.delenv(name)
    assert DispatcherSettings().amqp_url == BROKER
    environment.delenv("AMQP_URL")
    assert refusal(DispatcherSettings, capsys) == "AMQP_URL is missing"
