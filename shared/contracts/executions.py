"""Executions and positions: what one subscription's customer is to trade, and what came of it."""

from enum import StrEnum
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime

from shared.contracts.base import Message, Value
from shared.contracts.signals import Signal
from shared.money import Amount

Environment = Literal["live", "testnet", "paper"]
MarketType = Literal["futures", "spot"]
OnOpposite = Literal["reverse", "close", "ignore"]
MarginType = Literal["isolated", "crossed"]
WorkingType = Literal["mark_price", "contract_price"]
WhenSymbolHeld = Literal["share", "skip"]
LeveragePolicy = Literal["reject", "clamp"]


class TradeConfig(Value):
    """The effective settings of one execution: the customer's value where there is one, else the bot's default.

    Percentages as 2.5 for 2.5 %; null or 0 for a stop-loss or take-profit means: none. Limits: null means none.

    Futures only: `leverage_policy` is what to do where Binance allows less leverage than asked (`clamp`: take the
    highest allowed, with the same margin); `margin_type` null leaves the account's alone; `protection_working_type` is
    the price that triggers a protection, and `price_protect` Binance's own `priceProtect`; `when_symbol_held` is what
    an entry does beside a position of the customer's in the same symbol and direction.
    """

    market_type: MarketType
    leverage: int
    margin_usd: Amount
    stop_loss_pct: Amount | None
    take_profit_pct: Amount | None
    max_daily_loss_usd: Amount | None
    max_concurrent_positions: int | None
    on_opposite: OnOpposite
    max_entries_per_symbol: int
    leverage_policy: LeveragePolicy = "reject"
    margin_type: MarginType | None = None
    protection_working_type: WorkingType = "mark_price"
    price_protect: bool = False
    when_symbol_held: WhenSymbolHeld = "share"


class Job(Value):
    """One execution to be done: exactly one per signal and subscription.

    `sequence` counts the jobs of an exchange account from 1 without gaps: its lane. `sealed_credentials` can be
    opened by executors only. An entry that has not begun by `expires_at` is not traded.
    """

    execution_id: UUID
    subscription_id: UUID
    user_id: UUID
    exchange_account_id: UUID
    environment: Environment
    sealed_credentials: str
    sequence: int
    config: TradeConfig
    expires_at: AwareDatetime | None


class ExecutionRequested(Message):
    """Up to a hundred jobs of one signal in one frame; each is claimed, done, retried and recorded on its own."""

    TYPE: ClassVar[str] = "execution.requested.v1"
    signal: Signal
    jobs: tuple[Job, ...]


class ExecutionStatus(StrEnum):
    """How an execution ended: `skipped` we chose not to trade, `failed` we tried and it did not end as asked."""

    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"


class ExecutionFinished(Message):
    """The end of one execution; the ledger seals it. `id` is derived from the execution: it ends once.

    Prices in USD, quantities in the base asset. `executed_price` is null where the exchange never told it.
    `error_code` is our stable word (`shared.reasons`), `exchange_code` Binance's number, `error_message` the sentence
    for the customer in English and `error_message_pt` in Portuguese. `naked_ms` is fill to stop acknowledged.
    """

    TYPE: ClassVar[str] = "execution.finished.v1"
    execution_id: UUID
    signal_id: UUID
    bot_id: UUID
    subscription_id: UUID
    user_id: UUID
    ticker: str | None
    action: str
    status: ExecutionStatus
    exchange_order_id: str | None = None
    executed_price: Amount | None = None
    executed_quantity: Amount | None = None
    stop_loss_order_id: str | None = None
    take_profit_order_id: str | None = None
    stop_loss_price: Amount | None = None
    take_profit_price: Amount | None = None
    error_code: str | None = None
    exchange_code: int | None = None
    error_message: str | None = None
    error_message_pt: str | None = None
    execution_time_ms: int
    naked_ms: int | None = None


class CloseReason(StrEnum):
    """Why a position is no longer open."""

    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    SIGNAL = "signal"
    EXTERNAL = "external"
    UNWOUND = "unwound"


class PositionOpened(Message):
    """An entry filled. Quantity in the base asset; `entry_price` null while the exchange has not told it."""

    TYPE: ClassVar[str] = "position.opened.v1"
    position_id: UUID
    execution_id: UUID
    signal_id: UUID
    bot_id: UUID
    subscription_id: UUID
    user_id: UUID
    ticker: str
    side: Literal["long", "short"]
    quantity: Amount
    entry_price: Amount | None
    stop_loss_price: Amount | None = None
    take_profit_price: Amount | None = None


class PositionClosed(Message):
    """A position of ours is gone. `realized_pnl_usd` net of commission, null where a price is unknown."""

    TYPE: ClassVar[str] = "position.closed.v1"
    position_id: UUID
    subscription_id: UUID
    user_id: UUID
    ticker: str
    close_reason: CloseReason
    exit_price: Amount | None
    realized_pnl_usd: Amount | None
