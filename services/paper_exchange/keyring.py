"""API keys and what they may do; one key opens futures and spot. Pure."""

from dataclasses import dataclass

from services.paper_exchange.errors import Refused
from services.paper_exchange.signing import check_key_format


@dataclass(slots=True)
class Key:
    """An API key. A revoked one is refused with -2015 for ever."""

    api_key: str
    api_secret: str
    created_ms: int
    can_withdraw: bool = False
    revoked: bool = False


class Keyring:
    """All keys ever issued."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}

    def add(self, key: Key) -> None:
        """Issue a key."""
        self.keys[key.api_key] = key

    def find(self, api_key: str | None) -> Key:
        """The usable key of this name; Refused(-2014) where ill-formed, Refused(-2015) where unknown or revoked."""
        key = self.keys.get(api_key or "")
        if key is None:
            check_key_format(api_key or "")
        if key is None or key.revoked:
            raise Refused(-2015)
        return key


def permissions(key: Key) -> dict[str, object]:
    """The answer of GET /sapi/v1/account/apiRestrictions ("Get API Key Permission")."""
    return {
        "ipRestrict": True,
        "createTime": key.created_ms,
        "enableReading": True,
        "enableWithdrawals": key.can_withdraw,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": True,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": True,
        "enablePortfolioMarginTrading": False,
    }
