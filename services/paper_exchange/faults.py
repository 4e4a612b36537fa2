"""The fault script: which requests go wrong, how, and how often. Pure.

Kinds, told by what the exchange does and what the client sees:

- `timeout_before`    never sees the request, never answers
- `timeout_after`     carries the request out, never answers
- `drop_before`       never sees the request, cuts the connection at once
- `drop_after`        carries the request out, cuts the connection at once
- `late`              holds the request for `latency_ms`, then carries it out, never answers
- `http_503_unknown`  carries the request out, answers 503 "Unknown error, please check your request …"
- `http_503_failed`   refuses, answers 503 "Service Unavailable."
- `http_403`, `http_502`, `http_504`: refuses, answers with a page of HTML from the machine in front
- `http_408`          refuses, answers 408 with -1007
- `http_429`          refuses, answers 429 with -1003
- `http_418`          refuses, answers 418 with -1003 "banned until", `retry_after_s` from now (120 by default)
- `error`             refuses, answers `code` with its official message and HTTP status
- `overload`          answers -1008 to new orders, except those that Binance lets through: whatever only reduces
- `latency`           slowness only: the call works, its answer comes `latency_ms` late; a fault without a kind is this

`executed` says otherwise than the kind whether the request is carried out before its answer is spoiled.

Conditions do not spoil an answer; they hold beside whatever else meets the request:

- `read_lag`          a GET is answered as the account stood `latency_ms` ago (prices are today's)
- `gte_lag`           closePosition is refused with -4509 until the position is `latency_ms` old
- `strict_ids`        a clientAlgoId that was ever used is -4116, as was seen once on the real exchange
- `clock_skew`        the server's clock is off by `skew_ms` for this request: -1021, and what GET time tells
- `engine_skew`       only the matching engine's clock is: -5028
- `events_lost`, `events_twice`, `events_late` (by `latency_ms`): what becomes of an event of a user stream
- `bare_stream`       a combined futures socket that opens now sends events without naming their listen key
"""

from dataclasses import dataclass
from typing import Any

from services.paper_exchange.errors import BANNED, FAILED_503, UNKNOWN_503, Refused
from services.paper_exchange.history import LAG_MS_MAX
from services.paper_exchange.limits import WEIGHT_PER_MINUTE

PAGES = {"http_403": "403 Forbidden", "http_502": "502 Bad Gateway", "http_504": "504 Gateway Time-out"}
ANSWERS = {"http_503_unknown": 503, "http_503_failed": 503, "http_408": 408, "http_429": 429, "http_418": 418}
ANSWERS |= {kind: int(title[:3]) for kind, title in PAGES.items()}
DROPS = frozenset({"drop_before", "drop_after"})
NEVER_ANSWERS = frozenset({"timeout_before", "timeout_after", "late"}) | DROPS
EVENT_KINDS = frozenset({"events_lost", "events_twice", "events_late"})
CONDITIONS = frozenset({"read_lag", "gte_lag", "strict_ids", "clock_skew", "engine_skew", "bare_stream"}) | EVENT_KINDS
KINDS = frozenset(ANSWERS) | NEVER_ANSWERS | {"error", "overload", "latency"} | CONDITIONS
NEED_LATENCY = frozenset({"latency", "late", "read_lag", "gte_lag", "events_late"})
EXECUTES = frozenset({"timeout_after", "drop_after", "late", "http_503_unknown", "latency"})
PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\r\n"
BAN_S_DEFAULT = 120  # General Info: a ban lasts from 2 minutes to 3 days
NEW_ORDERS = frozenset(
    {"/fapi/v1/order", "/fapi/v1/batchOrders", "/fapi/v1/order/test", "/api/v3/order", "/api/v3/orderList/oco"}
)
NUMBERS = ("code", "times", "latency_ms", "retry_after_s", "skew_ms")
FIELDS = frozenset({"match", "kind", "message", "executed", *NUMBERS})


@dataclass(slots=True)
class Fault:
    """One line of the script. None in `method`, `path`, `api_key` matches anything; `times` None means for ever."""

    kind: str
    method: str | None = None
    path: str | None = None
    api_key: str | None = None
    code: int | None = None
    times: int | None = 1
    latency_ms: int = 0
    executed: bool | None = None
    message: str | None = None
    retry_after_s: int | None = None
    skew_ms: int = 0

    def matches(self, method: str | None, path: str | None, api_key: str, params: dict[str, str]) -> bool:
        """Whether it is about this request, or event (which has no path); a path matches exactly or as a prefix."""
        return (
            (self.method is None or method is None or self.method == method)
            and (self.path is None or path is None or path.startswith(self.path))
            and (self.api_key is None or self.api_key == api_key)
            and (self.kind != "overload" or _is_throttled(method, path, params))
        )

    @property
    def executes(self) -> bool:
        """Whether the request is carried out."""
        return self.kind in EXECUTES if self.executed is None else self.executed

    def answer(self, address: str, now_ms: int) -> tuple[int, dict[str, object] | str, dict[str, str]]:
        """HTTP status, body and headers of a fault that answers; `code` replaces the usual body of its kind."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        if self.kind == "overload":
            refusal = Refused(-1008)
            return refusal.status, refusal.body, headers
        if self.code is not None:
            refusal = Refused(self.code, message=self.message)
            return ANSWERS.get(self.kind, refusal.status), refusal.body, headers
        match self.kind:
            case "http_418":
                ban_s = BAN_S_DEFAULT if self.retry_after_s is None else self.retry_after_s
                text = BANNED.format(address, now_ms + ban_s * 1000)
                return 418, Refused(-1003, message=text).body, {"Retry-After": str(ban_s)}
            case "http_429":
                return 429, Refused(-1003, WEIGHT_PER_MINUTE).body, headers
            case "http_408":
                return 408, Refused(-1007).body, headers
            case "http_403" | "http_502" | "http_504":
                return ANSWERS[self.kind], PAGE.format(PAGES[self.kind]), headers
        return 503, {"msg": UNKNOWN_503 if self.kind == "http_503_unknown" else FAILED_503}, headers


class FaultScript:
    """Faults in the order they were given; the first that matches a request is used up by it."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Append a fault to the script."""
        self.faults.append(fault)

    def clear(self) -> None:
        """Forget all faults."""
        self.faults.clear()

    def take(self, method: str, path: str, api_key: str, params: dict[str, str] | None = None) -> Fault | None:
        """The fault this request meets, counted down; None where all is well."""
        return self._first(frozenset(KINDS - CONDITIONS), method, path, api_key, params or {})

    def condition(self, kind: str, method: str, path: str, api_key: str) -> Fault | None:
        """The condition of this kind that holds for this request, counted down."""
        return self._first(frozenset({kind}), method, path, api_key, {}) if self.faults else None

    def event(self, api_key: str) -> Fault | None:
        """What becomes of an event of this account; method and path do not matter."""
        return self._first(EVENT_KINDS, None, None, api_key, {}) if self.faults else None

    def _first(
        self, kinds: frozenset[str], method: str | None, path: str | None, api_key: str, params: dict[str, str]
    ) -> Fault | None:
        for fault in self.faults:
            if fault.kind in kinds and fault.matches(method, path, api_key, params):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self.faults.remove(fault)
                return fault
        return None


def read_fault(document: dict[str, Any]) -> Fault:
    """Read the JSON of POST /paper/faults; ValueError names what is wrong. `times` <= 0 or null means for ever."""
    match = document.get("match") or {}
    unknown = sorted(set(document) - FIELDS) + sorted(set(match) - {"method", "path", "api_key"})
    if unknown:
        raise ValueError(f"unknown field {unknown[0]}")
    kind = document.get("kind") or "latency"
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(sorted(KINDS))}")
    numbers = {name: _whole(document, name) for name in NUMBERS}
    code, times, latency_ms = numbers["code"], document.get("times", 1), numbers["latency_ms"] or 0
    if kind == "error" and code is None:
        raise ValueError("code is needed for kind error")
    if kind in NEED_LATENCY and latency_ms <= 0:
        raise ValueError(f"latency_ms is needed for kind {kind}")
    if kind == "read_lag" and latency_ms > LAG_MS_MAX:
        raise ValueError(f"latency_ms must be {LAG_MS_MAX} at most for kind {kind}")
    if kind in ("clock_skew", "engine_skew") and not numbers["skew_ms"]:
        raise ValueError(f"skew_ms is needed for kind {kind}")
    executed, message = document.get("executed"), document.get("message")
    if executed not in (None, True, False):
        raise ValueError("executed must be true or false")
    if executed is False and kind in ("latency", "late", "timeout_after", "drop_after"):
        raise ValueError(f"kind {kind} is about a request that is carried out")
    method = match.get("method")
    return Fault(
        kind=kind,
        method=method.upper() if method else None,
        path=match.get("path"),
        api_key=match.get("api_key"),
        code=code,
        times=times if times and times > 0 else None,
        latency_ms=latency_ms,
        executed=executed,
        message=None if message is None else str(message),
        retry_after_s=numbers["retry_after_s"],
        skew_ms=numbers["skew_ms"] or 0,
    )


def _whole(document: dict[str, Any], name: str) -> int | None:
    value = document.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise ValueError(f"{name} must be a whole number")
    return value


def _is_throttled(method: str | None, path: str | None, params: dict[str, str]) -> bool:
    """Whether system-level protection holds this request up: new orders that open (General Info, 503 C)."""
    if method != "POST" or path not in NEW_ORDERS:
        return False
    if "true" in (params.get("reduceOnly", "").lower(), params.get("closePosition", "").lower()):
        return False
    return (params.get("positionSide"), params.get("side")) not in (("LONG", "SELL"), ("SHORT", "BUY"))
