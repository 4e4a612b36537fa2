"""What bots look like from outside: the bodies and answers of `http.bots`."""

import json
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, SecretStr, computed_field

from services.bot_registry.http.fields import (
    Leverage,
    Line,
    StopLossPct,
    TakeProfitPct,
    Text,
    UsdAboveZero,
    WebhookPath,
    absent,
)
from shared.contracts import BotStatus, MarginType, MarketType, OnOpposite, WhenSymbolHeld, WorkingType
from shared.money import Amount
from shared.web.routes import Request

_DAY_S = 86_400

Secret = Annotated[SecretStr, Field(min_length=1, max_length=256)]
Seconds = Annotated[int, Field(le=_DAY_S)]
RateLimit = Annotated[int, Field(ge=1, le=10_000)]
Window = Annotated[Seconds, Field(ge=0)]
Age = Annotated[Seconds, Field(ge=1)]
Entries = Annotated[int, Field(ge=1, le=1_000)]


class NewBot(Request):
    """A bot to be. Without `master_secret` one is made and told once.

    Futures only: `margin_type` null leaves each account's as it is; `protection_working_type` is the price that
    triggers a stop-loss or take-profit, the mark price or the contract's last one; with `price_protect` Binance holds
    the trigger back while those two are too far apart; `when_symbol_held` says what an entry does where the customer
    holds the symbol by hand in the same direction: `share` it, with protections
    bound to the entry's own quantity, or `skip`.
    """

    name: Line
    description: Text | None = None
    market_type: MarketType
    master_webhook_path: WebhookPath
    master_secret: Secret | None = None
    default_leverage: Leverage
    default_margin_usd: UsdAboveZero
    default_stop_loss_pct: StopLossPct | None = None
    default_take_profit_pct: TakeProfitPct | None = None
    rate_limit_per_minute: RateLimit = 10
    duplicate_window_seconds: Window = 20
    max_signal_age_seconds: Age = 60
    on_opposite: OnOpposite = "reverse"
    max_entries_per_symbol: Entries = 1
    margin_type: MarginType | None = None
    protection_working_type: WorkingType = "mark_price"
    price_protect: bool = False
    when_symbol_held: WhenSymbolHeld = "share"


class BotChange(Request):
    """What is to be different; what is left out stays, null clears what may be null."""

    name: Line = absent
    description: Text | None = None
    status: BotStatus = absent
    master_webhook_path: WebhookPath = absent
    default_leverage: Leverage = absent
    default_margin_usd: UsdAboveZero = absent
    default_stop_loss_pct: StopLossPct | None = None
    default_take_profit_pct: TakeProfitPct | None = None
    rate_limit_per_minute: RateLimit = absent
    duplicate_window_seconds: Window = absent
    max_signal_age_seconds: Age = absent
    on_opposite: OnOpposite = absent
    max_entries_per_symbol: Entries = absent
    margin_type: MarginType | None = None
    protection_working_type: WorkingType = absent
    price_protect: bool = absent
    when_symbol_held: WhenSymbolHeld = absent


class Rotation(Request):
    """A new secret, made where none is given; the old one holds for `overlap_seconds` more."""

    master_secret: Secret | None = None
    overlap_seconds: Annotated[int, Field(ge=0, le=7 * _DAY_S)] = 0


class Rotated(BaseModel):
    """The text for TradingView, and the new secret where it was made here: it is never told again."""

    bot_id: UUID
    alert_message: str
    master_secret: str | None = Field(default=None, exclude_if=lambda secret: secret is None)


class BotCreated(Rotated):
    """The new bot and where its alerts go."""

    webhook_url: str


class PublicBot(BaseModel):
    """What every user sees of a bot. USD; percent as 2.5 for 2.5 %."""

    id: UUID
    name: str
    description: str | None
    market_type: MarketType
    status: BotStatus
    default_leverage: int
    default_margin_usd: Amount
    default_stop_loss_pct: Amount | None
    default_take_profit_pct: Amount | None
    margin_type: MarginType | None
    protection_working_type: WorkingType
    price_protect: bool
    when_symbol_held: WhenSymbolHeld
    created_at: AwareDatetime

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def bot_id(self) -> UUID:
        """The id, by the name that making it answered with."""
        return self.id


class Bot(PublicBot):
    """What an administrator sees of a bot."""

    master_webhook_path: str
    webhook_url: str
    rate_limit_per_minute: int
    duplicate_window_seconds: int
    max_signal_age_seconds: int
    on_opposite: OnOpposite
    max_entries_per_symbol: int


class BotPage(BaseModel):
    """A part of the bots, newest first; customers get the public part of each."""

    items: Sequence[Bot | PublicBot]
    next_cursor: UUID | None


def alert_message(secret: SecretStr | None) -> str:
    """The alert's text for TradingView, ready to paste; a secret that was given to us is not repeated."""
    text = json.dumps(secret.get_secret_value() if secret else "YOUR_MASTER_SECRET")
    return f'{{\n  "ticker": "{{{{ticker}}}}",\n  "action": "buy",\n  "secret": {text},\n  "price": {{{{close}}}}\n}}'
