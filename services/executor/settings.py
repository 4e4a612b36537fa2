"""The executor's settings, from the environment."""

from typing import Annotated

from pydantic import Field, SecretStr

from shared.contracts import Environment, MarketType
from shared.sealing import Opener
from shared.settings import AmqpUrl, CommonSettings, RedisUrl, Url, accepted_by, database_url


class Settings(CommonSettings):
    """Where to trade, and the key that opens the customers' keys; the watcher reads the same.

    `egress_address` names the address that requests come from, and `egress_shares` says how many processes (executors
    and watchers) share it; `redis_url`: where they count their requests together, without it each keeps to its share.
    `call_timeout_ms`: how long one call to Binance may take before its outcome counts as unknown.
    `stop_entries_after_accounts`: how many must have their protections refused in one unforeseen way.
    """

    port: int = 8006
    sealing_private_keys: Annotated[SecretStr, accepted_by(Opener)]
    binance_futures_url: Url = "https://fapi.binance.com"
    binance_testnet_futures_url: Url = "https://demo-fapi.binance.com"
    binance_spot_url: Url = "https://api.binance.com"
    binance_testnet_spot_url: Url = "https://demo-api.binance.com"
    paper_exchange_url: Url | None = None
    live_trading: bool = True
    redis_url: RedisUrl | None = None
    egress_address: str = Field(default="default", min_length=1)
    egress_shares: int = Field(default=1, ge=1)
    call_timeout_ms: int = Field(default=5_000, ge=100, le=30_000)
    stop_entries_after_accounts: int = Field(default=3, ge=2)

    def bases(self) -> dict[tuple[Environment, MarketType], str]:
        """The address of each market of each environment that may be traded in."""
        bases: dict[tuple[Environment, MarketType], str] = {
            ("testnet", "futures"): self.binance_testnet_futures_url,
            ("testnet", "spot"): self.binance_testnet_spot_url,
        }
        if self.live_trading:
            bases |= {("live", "futures"): self.binance_futures_url, ("live", "spot"): self.binance_spot_url}
        if self.paper_exchange_url is not None:
            bases |= {("paper", "futures"): self.paper_exchange_url, ("paper", "spot"): self.paper_exchange_url}
        return bases


class ProcessSettings(Settings):
    """What it needs besides in a process of its own."""

    database_url: str = database_url("executor")
    amqp_url: AmqpUrl
