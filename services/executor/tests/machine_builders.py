"""An execution in the machine's hands: what it is about, and how far it has been brought."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.executor.machine import decide
from services.executor.orders import (
    AccountView,
    Balance,
    Funds,
    Order,
    Position,
    PositionSide,
    SymbolRules,
)
from services.executor.outcomes import Answer, NoAnswer, judge
from services.executor.state import (
    End,
    Finished,
    Observation,
    Phase,
    Prepared,
    Refused,
    Seen,
    Settled,
    State,
    Stopped,
    Uncertain,
    Unsent,
    Woke,
    Work,
)
from services.executor.timing import Timing
from services.executor.why import plainly
from shared.clock import from_ms
from shared.contracts import Action, CloseReason, Job, Signal, TradeConfig
from shared.reasons import Reason


def refused(code: int) -> Refused:
    """What Binance's answer with this code means, as production judges it."""
    judged = judge(Answer(400, code, "as Binance puts it"))
    assert isinstance(judged, Refused)
    return judged


def unsent(wait_ms: int = 0, code: int = -1008, *, banned: bool = False) -> Unsent:
    """Certainly not carried out."""
    judged = judge(Answer(400, code, "as Binance puts it"))
    assert isinstance(judged, Unsent)
    return replace(judged, wait_ms=wait_ms, banned=banned)


def uncertain(code: int | None = None) -> Uncertain:
    """Perhaps carried out: no answer, or one with this code."""
    judged = judge(NoAnswer(sent=True, message="TimeoutError") if code is None else Answer(400, code, "unknown"))
    assert isinstance(judged, Uncertain)
    return judged


NOW = 1_800_000_000_000
TIMING = Timing()
CLOSED_AT = NOW + TIMING.recv_window_ms + TIMING.lag_margin_ms
RULES = SymbolRules("BTCUSDT", Decimal("0.1"), Decimal("0.001"), Decimal("0.001"), Decimal(100), Decimal(50))
FUNDS = Funds(Balance(Decimal("0.5"), NOW), Decimal("0.001"))
QUANTITY, PRICE = Decimal("0.010"), Decimal(100_000)
FILLED = Order("77", "FILLED", QUANTITY, PRICE, NOW + 5)
PARTLY = replace(FILLED, status="EXPIRED", executed_quantity=Decimal("0.004"))
UNFILLED = replace(FILLED, status="EXPIRED", executed_quantity=Decimal(0))
WORKING = replace(FILLED, status="NEW", executed_quantity=Decimal(0), average_price=None)
HELD = Position(UUID(int=9), "BTCUSDT", "long", "BOTH", QUANTITY, PRICE, "1", NOW, "held-stop", "2", Decimal(98_000))
STOPPED = Stopped(plainly(Reason.STOPPED))
POOR = refused(-2019)
FULL = refused(-4045)
FLAT = refused(-2022)
TAKEN = uncertain(-4116)
NOT_YET = unsent(code=-4509)
THROUGH = refused(-2021)
MODE = refused(-4061)
SOLD = Settled(CloseReason.SIGNAL, PRICE, Decimal(1))


def work_of(action: Action = Action.BUY, **config: Any) -> Work:
    defaults: dict[str, Any] = {
        "market_type": "futures",
        "leverage": 10,
        "margin_usd": Decimal(100),
        "stop_loss_pct": Decimal(2),
        "take_profit_pct": Decimal(4),
        "max_daily_loss_usd": None,
        "max_concurrent_positions": None,
        "on_opposite": "reverse",
        "max_entries_per_symbol": 1,
    }
    signal = Signal(
        signal_id=UUID(int=1),
        bot_id=UUID(int=2),
        action=action,
        ticker="BTCUSDT",
        symbol="BTCUSDT",
        price=None,
        source_ip="127.0.0.1",
        received_at=datetime(2026, 11, 22, tzinfo=UTC),
        body_digest="",
    )
    job = Job(
        execution_id=UUID(int=3),
        subscription_id=UUID(int=4),
        user_id=UUID(int=5),
        exchange_account_id=UUID(int=6),
        environment="paper",
        sealed_credentials="",
        sequence=1,
        config=TradeConfig(**defaults | config),
        expires_at=from_ms(NOW + 60_000) if action.is_entry else None,
    )
    return Work(signal, job)


def view(*own: Position, leverage: int = 10, by_hand: Decimal = Decimal(0), hedge: bool = False) -> Prepared:
    sides: tuple[PositionSide, ...] = ("LONG", "SHORT") if hedge else ("BOTH",)
    held = tuple(
        ("BTCUSDT", side, by_hand + sum((p.signed for p in own if p.position_side == side), Decimal(0)))
        for side in sides
    )
    return Prepared(AccountView(hedge, RULES, PRICE, leverage, held, own, (), funds=FUNDS))


class Execution:
    """One execution, told one observation after another."""

    def __init__(self, work: Work | None = None) -> None:
        self.work = work or work_of()
        self.state = State()
        self.facts: list[Any] = []
        self.effect: Any = None
        self.now_ms = NOW

    def sees(self, *observations: Observation, at_ms: int | None = None) -> "Execution":
        self.now_ms = at_ms or self.now_ms
        for seen in observations:
            decision = decide(self.work, self.state, seen, self.now_ms, TIMING)
            self.state, self.effect = decision.state, decision.effect
            self.facts += decision.facts
        return self

    @property
    def ended(self) -> tuple[str, str | None]:
        finished = [fact for fact in self.facts if isinstance(fact, Finished)]
        assert (len(finished), self.state.phase, self.effect) == (1, Phase.DONE, End())
        failure = finished[0].trade.failure
        return (failure.status, failure.code) if failure else ("success", None)

    def name(self) -> str:
        """The leg of the request under way, `e1` of `tc-…-e1`."""
        assert self.state.intent is not None
        return self.state.intent.client_id.rsplit("-", 1)[1]


def preparing() -> Execution:
    return Execution().sees(Woke())


def entering(**config: Any) -> Execution:
    return Execution(work_of(**config)).sees(Woke(), view())


def exiting() -> Execution:
    return Execution(work_of(Action.CLOSE)).sees(Woke(), view(HELD))


def verifying(execution: Execution) -> Execution:
    return execution.sees(uncertain())


def stopping() -> Execution:
    """The entry is filled and its stop-loss under way."""
    return entering().sees(Seen(FILLED))


def unwinding() -> Execution:
    return stopping().sees(THROUGH)
