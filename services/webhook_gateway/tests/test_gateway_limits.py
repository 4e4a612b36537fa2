"""Rate limits: shared through a real Redis, and on without it."""

import os
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from services.webhook_gateway.limits import Limits

REDIS = SecretStr(os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/15"))
NOBODY = SecretStr("redis://127.0.0.1:1/0")


async def test_replicas_share_their_counters_through_redis(an_entry: Any) -> None:
    bot = an_entry(bot_id=uuid4(), rate_limit_per_minute=3)
    one, other = Limits(REDIS), Limits(REDIS)
    async with one.running(), other.running():
        answers = [await limits.alert(bot) for limits in (one, other, one, other, one)]
    assert answers[:3] == [None] * 3
    assert all(answer is not None and 1 <= answer <= 60 for answer in answers[3:])


async def test_without_redis_each_counts_for_itself_and_says_so_once(an_entry: Any) -> None:
    limits = Limits(NOBODY)
    bot = an_entry(rate_limit_per_minute=3)
    async with limits.running():
        with capture_logs() as lines:
            answers = [await limits.alert(bot) for _ in range(4)]
    assert answers[:3] == [None] * 3
    assert answers[3] is not None
    assert [line["event"] for line in lines] == ["rate_limits_counted_in_memory"]


@pytest.mark.parametrize("redis_url", [None, REDIS])
async def test_ten_wrong_secrets_a_minute_are_heard_out(redis_url: SecretStr | None) -> None:
    limits, source = Limits(redis_url), str(uuid4())
    async with limits.running():
        assert [await limits.wrong_secret(source) for _ in range(10)] == [None] * 10
        assert await limits.wrong_secret(source) is not None


async def test_one_ipv6_customer_is_one_source_however_many_addresses_they_have() -> None:
    limits = Limits(None)
    for number in range(10):
        await limits.wrong_secret(f"2001:db8:1:2::{number}")
    assert await limits.wrong_secret("2001:db8:1:2:ffff::1") is not None
    assert await limits.wrong_secret("2001:db8:1:3::1") is None


async def test_a_limit_that_was_raised_holds_at_once(an_entry: Any) -> None:
    limits = Limits(None)
    assert [await limits.alert(an_entry(rate_limit_per_minute=1)) is None for _ in range(2)] == [True, False]
    assert await limits.alert(an_entry(rate_limit_per_minute=2)) is None


async def test_what_is_given_back_passes_once(an_entry: Any) -> None:
    limits, bot = Limits(None), an_entry(rate_limit_per_minute=1)
    await limits.alert(bot)
    limits.give_back(bot.bot_id)
    assert [await limits.alert(bot) is None for _ in range(2)] == [True, False]
