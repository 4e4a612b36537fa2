"""What a customer reads: in two languages, with the cause, wherever it was decided."""

from decimal import Decimal

import pytest

from services.executor import why
from services.executor.state import Absent, Failure, Finished, Woke
from services.executor.tests.machine_builders import (
    NOW,
    Execution,
    entering,
    preparing,
    refused,
    stopping,
    uncertain,
    unsent,
)
from services.executor.why import Why
from shared.reasons import CATALOGUE, Reason

LATE = NOW + 60_000


def failure(execution: Execution) -> Failure:
    [finished] = [fact for fact in execution.facts if isinstance(fact, Finished)]
    assert finished.trade.failure is not None
    return finished.trade.failure


def test_a_signal_that_grew_old_while_the_exchange_was_away_says_what_it_answered() -> None:
    said = failure(preparing().sees(unsent(), Woke(), at_ms=LATE))
    assert (said.code, said.exchange_code) == (Reason.EXPIRED, -1008)
    assert said.message.endswith("(Binance -1008: as Binance puts it)")
    assert said.message_pt is not None
    assert said.message_pt.startswith("O sinal era mais antigo")
    assert said.message_pt.endswith("(Binance -1008: as Binance puts it)")


def test_a_signal_that_was_old_when_it_came_blames_nobody() -> None:
    said = failure(Execution().sees(Woke(), at_ms=LATE))
    assert (said.code, said.exchange_code) == (Reason.EXPIRED, None)
    assert "Binance" not in said.message


def test_an_entry_that_was_not_placed_says_what_its_request_was_answered_not_the_askings_after_it() -> None:
    execution = entering().sees(uncertain(-1007)).sees(unsent(), Woke())
    late = NOW + 100_000
    execution.sees(Absent(late), Woke(), Absent(late), at_ms=late)
    said = failure(execution)
    assert (said.code, said.exchange_code) == (Reason.NOT_PLACED, -1007)


def test_a_position_closed_for_want_of_its_stop_loss_says_what_the_exchange_answered() -> None:
    execution = stopping()
    for _ in range(3):
        execution.sees(refused(-4045), Woke())
    assert execution.state.trade.failure is not None
    assert execution.state.trade.failure.exchange_code == -4045


SENTENCES = [
    why.position_already_open("long", "BTCUSDT"),
    why.position_already_open("short", "BTCUSDT"),
    why.symbol_in_use("BTCUSDT"),
    why.max_concurrent_positions(3, 3),
    why.daily_loss_limit(Decimal("12.50"), Decimal(10)),
    why.above_maximum("BTCUSDT", Decimal("120.000")),
    why.below_minimum("BTCUSDT", Decimal(1), 10, Decimal("9.62")),
    why.below_minimum("BTCUSDT", Decimal(1), 10, None),
    why.leverage_not_allowed("SOLUSDT", 125, 75),
    why.position_too_large("SOLUSDT", Decimal(1000), 75, Decimal("10.005"), Decimal(50_000), 50),
    why.position_too_large("SOLUSDT", Decimal(1000), 75, Decimal(10), Decimal(50_000), None),
    why.symbol_not_trading("NOSUCHUSDT"),
    why.environment_unavailable("live"),
    why.not_filled("EXPIRED"),
    why.settings_not_made(uncertain().why),
    why.through_the_stop(refused(-2021).why),
    *map(why.plainly, Reason),
]


@pytest.mark.parametrize("said", SENTENCES, ids=lambda said: said.reason)
def test_every_sentence_is_said_in_both_languages_and_says_what_to_do(said: Why) -> None:
    remedy = CATALOGUE[said.reason].remedy
    assert remedy.en in said.words.en
    assert remedy.pt in said.words.pt
    assert said.words.en != said.words.pt
