"""Every row of the webhook's answer table, over real connections."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from services.webhook_gateway import http
from shared.bus import PublishFailed, PublishUnknown
from shared.contracts import SignalReceived, SignalSettled

SECRET = "minha-senha-super-secreta"


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[list[Any]]:
    """Whatever a test does, the secret is in no log line."""
    with capture_logs() as lines:
        yield lines
    assert SECRET not in repr(lines)
    assert SECRET not in caplog.text


async def assert_refused(gateway: Any, answer: Any, status: int, code: str) -> dict[str, Any]:
    text = await answer.text()
    assert answer.content_type == "application/problem+json"
    document: dict[str, Any] = orjson.loads(text)
    assert (answer.status, document["status"], document["code"]) == (status, status, code)
    assert SECRET not in text
    assert gateway.bus.published == []
    return document


async def test_an_accepted_alert_is_published_and_answered_202(gateway: Any, alert: Any) -> None:
    answer = await gateway.post(alert)
    assert answer.status == 202
    [message] = gateway.bus.signals
    assert await answer.json() == {"success": True, "signal_id": str(message.id), "status": "accepted"}
    assert message.signal.signal_id == message.id
    assert message.signal.source_ip == "127.0.0.1"
    assert message.payload == {"ticker": "BTCUSDT", "action": "buy", "price": "95234.5"}
    assert SECRET.encode() not in gateway.bus.published[0].body


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/json"])
async def test_any_content_type_will_do(gateway: Any, alert: Any, content_type: str) -> None:
    assert (await gateway.post(alert, headers={"Content-Type": content_type})).status == 202


async def test_the_same_body_without_an_alert_id_gets_a_new_id_each_time(gateway: Any, alert: Any) -> None:
    ids = {(await (await gateway.post(alert)).json())["signal_id"] for _ in range(3)}
    assert len(ids) == 3
    assert len({message.signal.body_digest for message in gateway.bus.signals}) == 1


async def test_an_unknown_path_is_404(gateway: Any, alert: Any) -> None:
    await assert_refused(gateway, await gateway.post(alert, path="nobody"), 404, "not_found")


@pytest.mark.parametrize("given", ["wrong", "", None, 5, ["minha-senha-super-secreta"], "minha-senha-super-secretá"])
async def test_a_wrong_secret_is_401_whatever_else_is_wrong(gateway: Any, given: Any) -> None:
    answer = await gateway.post({"secret": given, "action": "dance", "ticker": None})
    await assert_refused(gateway, answer, 401, "wrong_secret")


async def test_a_missing_secret_is_401(gateway: Any) -> None:
    await assert_refused(gateway, await gateway.post({"action": "buy"}), 401, "wrong_secret")


@pytest.mark.parametrize("status", ["paused", "archived"])
async def test_a_bot_that_is_not_active_is_400(start: Any, an_entry: Any, alert: Any, status: str) -> None:
    gateway = await start(an_entry(status=status))
    await assert_refused(gateway, await gateway.post(alert), 400, "bot_not_active")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b'{"comment": "say "hi""}', "invalid_json"),
        (b"[" * 10_000, "invalid_json"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "invalid_json"),
        (b"\xff\xfe\x00", "invalid_json"),
        (b'{"price": NaN}', "invalid_json"),
        (b"[1]", "invalid_request"),
        (b'"' + SECRET.encode() + b'"', "invalid_request"),
    ],
)
async def test_what_is_no_json_object_is_422_and_counts_against_nobody(gateway: Any, body: bytes, code: str) -> None:
    for _ in range(11):
        document = await assert_refused(gateway, await gateway.post(body), 422, code)
        assert document["field"] == "body"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"action": "hold"}, "action"),
        ({"action": None}, "action"),
        ({"ticker": "OKX:BTCUSDT"}, "ticker"),
        ({"ticker": SECRET}, "ticker"),
        ({"ticker": None}, "ticker"),
        ({"ticker": 12}, "ticker"),
        ({"price": 0}, "price"),
        ({"price": "a lot"}, "price"),
        ({"alert_id": "{{strategy.order.id}}"}, "alert_id"),
        ({"alert_id": f"x-{SECRET}"}, "alert_id"),
        ({"time": "yesterday"}, "time"),
        ({"exchange": "BINANCE_DLY"}, "exchange"),
    ],
)
async def test_a_wrong_field_is_422_and_named(gateway: Any, alert: Any, changes: Any, field: str) -> None:
    document = await assert_refused(gateway, await gateway.post(alert | changes), 422, "invalid_request")
    assert document["field"] == field
    assert document["detail"].startswith(f"{field}: ")


async def test_a_body_of_16384_bytes_is_taken_and_one_more_is_413(gateway: Any, alert: Any) -> None:
    text = orjson.dumps(alert)
    too_large = text + b" " * (16_385 - len(text))
    await assert_refused(gateway, await gateway.post(too_large), 413, "body_too_large")
    assert (await gateway.post(too_large[:-1])).status == 202


async def test_a_chunked_body_without_end_is_413(gateway: Any) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 1000
            await asyncio.sleep(0)

    request = "/api/v1/bots/webhook/master/scalper-btc-5min"
    async with gateway.client.post(request, data=endless()) as answer:
        await assert_refused(gateway, answer, 413, "body_too_large")


async def test_a_packed_body_is_measured_unpacked(gateway: Any) -> None:
    packed = gzip.compress(b" " * 1_000_000)
    answer = await gateway.post(packed, headers={"Content-Encoding": "gzip"})
    await assert_refused(gateway, answer, 413, "body_too_large")


async def test_a_body_of_broken_coding_is_422(gateway: Any) -> None:
    answer = await gateway.post(b"not packed at all", headers={"Content-Encoding": "gzip"})
    await assert_refused(gateway, answer, 422, "invalid_json")


async def test_a_body_that_does_not_come_is_408(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_BODY_WITHIN_S", 0.02)
    reader, writer = await asyncio.open_connection(gateway.client.host, gateway.client.port)
    head = b"POST /api/v1/bots/webhook/master/scalper-btc-5min HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
    writer.write(head)
    assert b" 408 " in await reader.readline()
    writer.close()
    assert gateway.bus.published == []


async def test_over_the_bots_limit_is_429_duplicates_and_misformed_ones_included(gateway: Any, alert: Any) -> None:
    for number in range(10):
        answer = await gateway.post(alert if number < 9 else alert | {"action": "hold"})
        assert answer.status == (202 if number < 9 else 422)
    gateway.bus.published.clear()
    answer = await gateway.post(alert)
    await assert_refused(gateway, answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


async def test_exactly_as_many_alerts_as_the_limit_pass_at_once(start: Any, an_entry: Any, alert: Any) -> None:
    gateway = await start(an_entry(rate_limit_per_minute=5))
    answers = await asyncio.gather(*(gateway.post(alert) for _ in range(30)))
    assert sorted(answer.status for answer in answers) == [202] * 5 + [429] * 25


async def test_after_ten_wrong_secrets_an_address_gets_429_for_them_but_a_right_alert_still_passes(
    start: Any, alert: Any
) -> None:
    gateway = await start(trusted_proxies="127.0.0.0/8")
    guesser, other = {"X-Forwarded-For": "52.89.214.238"}, {"X-Forwarded-For": "198.51.100.7"}
    wrong = alert | {"secret": "guess"}
    answers = await asyncio.gather(*(gateway.post(wrong, headers=guesser) for _ in range(30)))
    assert sorted(answer.status for answer in answers) == [401] * 10 + [429] * 20
    refused = await gateway.post(wrong, headers=guesser)
    await assert_refused(gateway, refused, 429, "too_many_wrong_secrets")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert (await gateway.post(wrong, headers=other)).status == 401
    for _ in range(10):  # and the guesses took nothing of the bot's own limit
        assert (await gateway.post(alert, headers=guesser)).status == 202


async def test_a_forged_forwarding_header_is_not_believed(start: Any, alert: Any) -> None:
    gateway = await start()  # trusts no proxy
    for number in range(10):
        await gateway.post(alert | {"secret": "guess"}, headers={"X-Forwarded-For": f"198.51.100.{number}"})
    assert (await gateway.post(alert | {"secret": "guess"})).status == 429  # all came from the peer itself


@pytest.mark.parametrize("failure", [PublishFailed("refused"), PublishUnknown("no answer")])
async def test_a_broker_that_is_down_is_503_with_retry_after(gateway: Any, alert: Any, failure: Exception) -> None:
    gateway.bus.failure = failure
    answer = await gateway.post(alert)
    await assert_refused(gateway, answer, 503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "5"


async def test_what_failed_by_our_fault_does_not_use_up_the_limit(gateway: Any, alert: Any) -> None:
    gateway.bus.failure = PublishFailed("away")
    assert {(await gateway.post(alert)).status for _ in range(30)} == {503}
    gateway.bus.failure = None
    assert [(await gateway.post(alert)).status for _ in range(11)] == [202] * 10 + [429]


async def test_while_its_keys_do_not_fit_a_right_secret_is_never_called_wrong(
    start: Any, an_entry: Any, seal: Any, alert: Any
) -> None:
    foreign = seal(SECRET).model_copy(update={"token": "gAAAAA-made-with-another-key"})
    gateway = await start(an_entry(secrets=(foreign,)))
    await assert_refused(gateway, await gateway.post(alert), 503, "temporarily_unavailable")


async def test_a_rotated_secret_counts_until_its_overlap_ends(
    start: Any, an_entry: Any, seal: Any, alert: Any, clock: Any
) -> None:
    old = seal("the-old-one", clock.now() + timedelta(seconds=30))
    gateway = await start(an_entry(secrets=(seal(SECRET), old)))
    assert (await gateway.post(alert | {"secret": "the-old-one"})).status == 202
    clock.forward(seconds=30)
    assert (await gateway.post(alert | {"secret": "the-old-one"})).status == 401
    assert (await gateway.post(alert)).status == 202


def settled(message: SignalReceived) -> SignalSettled:
    return SignalSettled(
        id=message.id,
        occurred_at=message.occurred_at,
        signal_id=message.id,
        bot_id=message.signal.bot_id,
        total_subscribers=5,
        successful_executions=3,
        failed_executions=1,
        skipped_executions=1,
    )


@pytest.mark.parametrize(("asked", "applied"), [("wait=3", "3"), ("respond-async, Wait = 99;x", "30")])
async def test_who_asks_to_wait_gets_the_counts_once_all_is_settled(
    gateway: Any, alert: Any, asked: str, applied: str
) -> None:
    async def settle_at_once(message: SignalReceived) -> None:
        await gateway.bus.deliver(settled(message))  # before publish returns: nothing may be missed

    gateway.bus.on_publish = settle_at_once
    answer = await gateway.post(alert, headers={"Prefer": asked})
    assert answer.status == 200
    assert answer.headers["Preference-Applied"] == f"wait={applied}"
    assert await answer.json() == {
        "success": True,
        "signal_id": str(gateway.bus.signals[0].id),
        "total_subscribers": 5,
        "successful_executions": 3,
        "failed_executions": 1,
        "skipped_executions": 1,
    }


async def test_who_does_not_ask_gets_202_however_fast_all_is_settled(gateway: Any, alert: Any) -> None:
    async def settle_at_once(message: SignalReceived) -> None:
        await gateway.bus.deliver(settled(message))

    gateway.bus.on_publish = settle_at_once
    for headers in ({}, {"Prefer": "wait=soon"}):
        assert (await gateway.post(alert, headers=headers)).status == 202


async def test_what_is_not_settled_in_time_is_202_as_without_waiting(
    gateway: Any, alert: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "asked_wait_s", lambda _prefer: 0.02)
    answer = await gateway.post(alert, headers={"Prefer": "wait=1"})
    assert answer.status == 202
    assert (await answer.json())["status"] == "accepted"
    assert "Preference-Applied" not in answer.headers


async def test_the_api_describes_the_body_and_the_answer(gateway: Any) -> None:
    document = await (await gateway.client.get("/openapi.json")).json()
    operation = document["paths"]["/api/v1/bots/webhook/master/{webhook_path}"]["post"]
    assert "requestBody" in operation
    assert "202" in operation["responses"]
    assert set(document["components"]["schemas"]["AlertBody"]["required"]) == {"action", "secret"}
