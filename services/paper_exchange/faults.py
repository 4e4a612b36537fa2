"""The fault script: which requests go wrong, how, and how often. Pure.

Kinds, told by what the exchange does and what the client sees:

- `timeout_before`    never sees the request, never answers
- `timeout_after`     carries the request out, never answers
- `http_503_unknown`  carries the request out, answers 503 "Unknown error, please check your request …"
- `http_503_failed`   refuses, answers 503 "Service Unavailable."
- `http_429`          refuses, answers 429 with -1003
- `error`             refuses, answers `code` with its official message and HTTP status
- `latency`           slowness only: the call works, its answer comes `latency_ms` late; a fault without a kind is this
"""

from dataclasses import dataclass
from typing import Any

from services.paper_exchange.errors import FAILED_503, UNKNOWN_503, Refused
from services.paper_exchange.limits import WEIGHT_PER_MINUTE

KINDS = frozenset(
    {"timeout_before", "timeout_after", "http_503_unknown", "http_503_failed", "http_429", "error", "latency"}
)
EXECUTES = frozenset({"timeout_after", "http_503_unknown", "latency"})
STATUSES = {"http_503_unknown": 503, "http_503_failed": 503, "http_429": 429}
NEVER_ANSWERS = frozenset({"timeout_before", "timeout_after"})


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

    def matches(self, method: str, path: str, api_key: str) -> bool:
        """Whether it is about this request; a path matches exactly or as a prefix."""
        return (
            (self.method is None or self.method == method)
            and (self.path is None or path.startswith(self.path))
            and (self.api_key is None or self.api_key == api_key)
        )

    def answer(self) -> tuple[int, dict[str, object]]:
        """HTTP status and body of a fault that answers; an explicit `code` replaces the usual body of its kind."""
        if self.code is not None:
            refusal = Refused(self.code)
            return STATUSES.get(self.kind, refusal.status), refusal.body
        if self.kind == "http_429":
            return 429, Refused(-1003, WEIGHT_PER_MINUTE).body
        return 503, {"msg": UNKNOWN_503 if self.kind == "http_503_unknown" else FAILED_503}


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

    def take(self, method: str, path: str, api_key: str) -> Fault | None:
        """The fault this request meets, counted down; None where all is well."""
        for fault in self.faults:
            if fault.matches(method, path, api_key):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self.faults.remove(fault)
                return fault
        return None


def read_fault(document: dict[str, Any]) -> Fault:
    """Read the JSON of POST /paper/faults; ValueError names what is wrong. `times` <= 0 or null means for ever."""
    match = document.get("match") or {}
    unknown = sorted(set(document) - {"match", "kind", "code", "times", "latency_ms"}) + sorted(
        set(match) - {"method", "path", "api_key"}
    )
    if unknown:
        raise ValueError(f"unknown field {unknown[0]}")
    kind = document.get("kind") or "latency"
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(sorted(KINDS))}")
    code, times, latency_ms = document.get("code"), document.get("times", 1), document.get("latency_ms") or 0
    for name, value in (("code", code), ("times", times), ("latency_ms", latency_ms)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise ValueError(f"{name} must be a whole number")
    if kind == "error" and code is None:
        raise ValueError("code is needed for kind error")
    if kind == "latency" and latency_ms <= 0:
        raise ValueError("latency_ms is needed for kind latency")
    method = match.get("method")
    return Fault(
        kind=kind,
        method=method.upper() if method else None,
        path=match.get("path"),
        api_key=match.get("api_key"),
        code=code,
        times=times if times and times > 0 else None,
        latency_ms=latency_ms,
    )
