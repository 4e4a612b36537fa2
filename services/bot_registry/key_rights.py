"""What an exchange key may do, read from Binance's own answer. Pure.

Binance, wallet documentation, "Get API Key Permission" (apiRestrictions). A field that is missing counts as harmless.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.contracts import Environment

# -2014 bad format, -2015 and -2008 unknown key, address or permission, -1022 wrong secret, -1002 and -1099 not
# authorised, -2017 locked
_KEY_CODES = frozenset({-1002, -1022, -1099, -2008, -2014, -2015, -2017})


@dataclass(frozen=True, slots=True)
class Accepted:
    """The key will do. `warnings` are sentences for its owner."""

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The key will not do: a stable code and a sentence that says what to change."""

    code: str
    detail: str


def judge(environment: Environment, status: int, answer: Mapping[str, Any]) -> Accepted | Refused | None:
    """Whether to take the key, by the exchange's answer about it; null where the answer says nothing about the key."""
    if status == 401 or answer.get("code") in _KEY_CODES:
        return Refused(
            "key_rejected", "The exchange does not accept this key: check key, secret and allowed addresses."
        )
    if status != 200:
        return None
    if environment == "testnet":
        return _judge_testnet(answer)
    return _judge_restrictions(environment, answer)


def _judge_testnet(account: Mapping[str, Any]) -> Accepted | Refused:
    """Binance's demo trading cannot say what else a key may do; there is nothing to withdraw."""
    if account.get("canTrade") is False:
        return Refused("key_lacks_permission", "The account may not trade futures on the testnet.")
    return Accepted()


def _judge_restrictions(environment: Environment, key: Mapping[str, Any]) -> Accepted | Refused:
    if key.get("enableWithdrawals") is True:
        return Refused("key_can_withdraw", "The key can withdraw: make one at the exchange that cannot.")
    if key.get("permitsUniversalTransfer") is True or key.get("enableInternalTransfer") is True:
        return Refused("key_can_transfer", "The key can transfer funds: make one at the exchange that cannot.")
    if key.get("enableReading") is False:
        return Refused("key_lacks_permission", "The key cannot read: allow reading for it at the exchange.")
    if key.get("enableFutures") is False and key.get("enableSpotAndMarginTrading") is False:
        return Refused(
            "key_lacks_permission", "The key cannot trade: allow futures or spot trading for it at the exchange."
        )
    return Accepted(tuple(_warnings(environment, key)))


def _warnings(environment: Environment, key: Mapping[str, Any]) -> Iterator[str]:
    if environment == "live" and key.get("ipRestrict") is False:
        yield "The key works from any address: restrict it to this system's addresses at the exchange."
    if key.get("enableFutures") is False:
        yield "The key cannot trade futures: bots of that market will fail until it is allowed at the exchange."
    if key.get("enableSpotAndMarginTrading") is False:
        yield "The key cannot trade spot: bots of that market will fail until it is allowed at the exchange."
