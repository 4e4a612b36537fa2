"""The webhook: one route, which answers only after the broker has confirmed the signal.

The order of judgement is the order of the code: path, size, address, JSON, secret, bot, limit, fields, broker.
"""

import asyncio
from typing import TypeVar
from uuid import UUID

import structlog
from aiohttp import web
from pydantic import BaseModel

from services.webhook_gateway import intake, metrics
from services.webhook_gateway.directory import Directory
from services.webhook_gateway.intake import Arrival, Bot, Refused
from services.webhook_gateway.limits import Limits
from services.webhook_gateway.settling import Settling, Waiter, asked_wait_s
from services.webhook_gateway.source import Networks, source_of
from services.webhook_gateway.unsettled import Unsettled
from shared import ids
from shared.bus import Bus, Envelope, PublishFailed, PublishUnknown
from shared.clock import Clock
from shared.contracts import SignalReceived
from shared.web.problems import Problem, not_found
from shared.web.routes import Access, Call, Nothing, Route

_BODY_MAX_BYTES = 16_384
_BODY_WITHIN_S = 5.0
_PUBLISH_WITHIN_S = 1.5  # TradingView gives up after 3 s and does not send again what timed out

log = structlog.get_logger()

T = TypeVar("T")


class AlertBody(intake.Alert):
    """What TradingView is told to post. Fields not named here are kept with the signal."""

    secret: str


class Accepted(BaseModel):
    """The signal is on disk at the broker."""

    success: bool = True
    signal_id: UUID
    status: str = "accepted"


class Settled(BaseModel):
    """Every execution of the signal is on record."""

    success: bool = True
    signal_id: UUID
    total_subscribers: int
    successful_executions: int
    failed_executions: int
    skipped_executions: int


class Webhook:
    """Takes alerts."""

    def __init__(
        self,
        directory: Directory,
        limits: Limits,
        settling: Settling,
        unsettled: Unsettled,
        bus: Bus,
        clock: Clock,
        trusted: Networks,
    ) -> None:
        self._directory, self._limits, self._settling, self._unsettled = directory, limits, settling, unsettled
        self._bus, self._clock, self._trusted = bus, clock, trusted

    def routes(self) -> list[Route]:
        """What the gateway serves."""
        return [
            Route(
                "POST",
                "/api/v1/bots/webhook/master/{webhook_path}",
                self.post,
                "Take an alert; with 'Prefer: wait=N' (30 s at most) answer 200 with the counts once all is settled.",
                access=Access.ANYONE,
                describes_body=AlertBody,
                answer=Accepted,
                status=202,
                tag="webhook",
            )
        ]

    async def post(self, call: Call[Nothing, Nothing]) -> BaseModel | web.StreamResponse:
        """Judge, publish, answer."""
        began = asyncio.get_running_loop().time()
        try:
            message = await self._judged(call.request)
            with self._settling.expecting(message.id) as settled:
                await self._publish(message)
                metrics.ALERTS.labels("accepted").inc()
                metrics.ACKNOWLEDGEMENT_SECONDS.observe(asyncio.get_running_loop().time() - began)
                return await _answer(message.id, settled, asked_wait_s(call.request.headers.getall("Prefer", [])))
        except Problem as problem:
            metrics.ALERTS.labels(problem.code).inc()
            log.info("alert_refused", code=problem.code, field=problem.more.get("field"), path=call.request.path)
            raise

    async def _judged(self, request: web.Request) -> SignalReceived:
        bot = await self._bot(request.match_info["webhook_path"])
        raw = await _body(request)
        source = source_of(request.remote or "", request.headers.getall("X-Forwarded-For", []), self._trusted)
        payload = _unless_refused(intake.parse(raw))
        now = self._clock.now()
        if not intake.knows_secret(payload, bot, now):
            raise await self._wrong_secret(bot, source)
        if bot.entry.status != "active":
            raise Problem(400, "bot_not_active", f"The bot is {bot.entry.status}; only an active one takes alerts.")
        _let_through(await self._limits.alert(bot.entry), "rate_limited")
        return _unless_refused(intake.read(payload, raw, bot, Arrival(now, source, ids.fresh())))

    async def _bot(self, webhook_path: str) -> Bot:
        bot = self._directory.find(webhook_path) or await self._directory.ask_for(webhook_path)
        if bot is None and not self._directory.loaded:
            raise _unavailable("The gateway does not know its bots yet.")
        if bot is None:
            raise not_found("webhook")
        return bot

    async def _wrong_secret(self, bot: Bot, source: str) -> Problem:
        if bot.unreadable:
            return _unavailable("The bot's secret cannot be checked now.")
        _let_through(await self._limits.wrong_secret(source), "too_many_wrong_secrets")
        return Problem(401, "wrong_secret", "secret: is missing or not this bot's.")

    async def _publish(self, message: SignalReceived) -> None:
        signal = message.signal
        self._unsettled.remember(message)
        try:
            await self._bus.publish([Envelope.of(message)], within_s=_PUBLISH_WITHIN_S)
        except (PublishFailed, PublishUnknown) as error:
            self._unsettled.forget(signal.signal_id)
            self._limits.give_back(signal.bot_id)
            log.error("signal_not_published", signal_id=str(signal.signal_id), reason=str(error))
            raise _unavailable("The alert could not be stored.") from None
        log.info(
            "signal_accepted",
            signal_id=str(signal.signal_id),
            bot_id=str(signal.bot_id),
            action=signal.action,
            symbol=signal.symbol,
            source_ip=signal.source_ip,
        )


async def _answer(signal_id: UUID, settled: Waiter, wait_s: int | None) -> BaseModel | web.StreamResponse:
    if wait_s is None:
        return Accepted(signal_id=signal_id)
    await asyncio.wait({settled}, timeout=wait_s)
    outcome = settled.result() if settled.done() else None
    if outcome is None:
        return Accepted(signal_id=signal_id)
    counts = Settled.model_validate(outcome, from_attributes=True)
    return web.json_response(text=counts.model_dump_json(), headers={"Preference-Applied": f"wait={wait_s}"})


async def _body(request: web.Request) -> bytes:
    raw = bytearray()
    try:
        async with asyncio.timeout(_BODY_WITHIN_S):
            async for chunk in request.content.iter_any():
                raw += chunk
                if len(raw) > _BODY_MAX_BYTES:
                    raise Problem(413, "body_too_large", f"An alert has {_BODY_MAX_BYTES} bytes at most.")
    except TimeoutError:
        raise Problem(408, "body_too_slow", f"An alert must arrive within {_BODY_WITHIN_S:g} s.") from None
    except (web.RequestPayloadError, ConnectionError):
        detail = "The body did not arrive whole, or its coding is broken."
        raise Problem(422, "invalid_json", detail, field="body") from None
    return bytes(raw)


def _unless_refused(judged: T | Refused) -> T:
    if isinstance(judged, Refused):
        raise Problem(422, judged.code, judged.detail, field=judged.field)
    return judged


def _let_through(retry_after_s: int | None, code: str) -> None:
    if retry_after_s is not None:
        detail = f"Too many; try again in {retry_after_s} s."
        raise Problem(429, code, detail, headers={"Retry-After": str(retry_after_s)})


def _unavailable(reason: str) -> Problem:
    return Problem(503, "temporarily_unavailable", f"{reason} Send it again.", headers={"Retry-After": "5"})
