import os

import pytest
from pydantic import SecretStr

from shared import logging
from shared.settings import AmqpUrl, CommonSettings, database_url, read


class Settings(CommonSettings):
    port: int = 8002
    amqp_url: AmqpUrl
    database_url: str = database_url("ledger")
    master_key: SecretStr


GOOD = {
    "AMQP_URL": "amqp://guest:hush@127.0.0.1/",
    "DATABASE_URL": "sqlite+aiosqlite:///common.db",
    "MASTER_KEY": "hush",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        monkeypatch.delenv(name)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(logging, "configure", lambda _level, _style: None)


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        read(Settings)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "hush" not in printed.err
    return printed.err


def test_settings_come_from_the_environment_with_their_defaults() -> None:
    settings = read(Settings)
    assert (settings.host, settings.port, settings.log_level, settings.log_format) == (
        "127.0.0.1",
        8002,
        "INFO",
        "json",
    )
    assert settings.amqp_url == GOOD["AMQP_URL"]
    assert settings.database_url == GOOD["DATABASE_URL"]
    assert "'hush'" not in repr(settings.master_key)


def test_a_services_own_database_comes_before_the_common_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", "sqlite+aiosqlite:///own.db")
    assert read(Settings).database_url == "sqlite+aiosqlite:///own.db"


@pytest.mark.parametrize(
    ("name", "named"), [("AMQP_URL", "AMQP_URL"), ("MASTER_KEY", "MASTER_KEY"), ("DATABASE_URL", "DATABASE_URL")]
)
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_a_missing_variable_is_one_line_that_names_it_and_exit_code_2(
    name: str, named: str, value: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    assert named in refused(capsys)


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "eighty"), ("LOG_LEVEL", "LOUD"), ("LOG_FORMAT", "xml"), ("AMQP_URL", "memory://"), ("AMQP_URL", "hush")],
)
def test_a_bad_variable_is_one_line_that_names_it_without_its_value_and_exit_code_2(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert refused(capsys).startswith(f"{name} is not usable: ")
