"""What the bot registry tells the others."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime

from shared.contracts.base import Message, Value
from shared.contracts.executions import MarketType

BotStatus = Literal["active", "paused", "archived"]


class EncryptedSecret(Value):
    """A webhook secret as a Fernet token, with the moment from which it no longer counts (null: it counts)."""

    token: str
    valid_until: AwareDatetime | None = None


class BotEntry(Value):
    """What the gateway must know of a bot to judge an alert. A higher `revision` replaces a lower one."""

    bot_id: UUID
    revision: int
    webhook_path: str
    secrets: tuple[EncryptedSecret, ...]
    status: BotStatus
    market_type: MarketType
    rate_limit_per_minute: int


class BotChanged(Message):
    """A bot was created or changed."""

    TYPE: ClassVar[str] = "bot.changed.v1"
    bot: BotEntry


class SubscriptionChanged(Message):
    """A subscription was made, changed or deleted: who may see which bot's signals."""

    TYPE: ClassVar[str] = "subscription.changed.v1"
    subscription_id: UUID
    bot_id: UUID
    user_id: UUID
    status: Literal["active", "paused", "deleted"]
