"""The read side: signals, executions, positions, the audit and the live stream."""

import asyncio
from dataclasses import replace
from uuid import UUID

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from services.ledger.feed import Feed, Lagging, Listener
from services.ledger.store import audit
from services.ledger.store.reader import Reader
from services.ledger.views import (
    AttentionItem,
    AttentionQuery,
    Audit,
    ExecutionItem,
    ExecutionsQuery,
    FirstBad,
    Page,
    PositionItem,
    PositionsQuery,
    ReasonItem,
    SignalItem,
    SignalQuery,
    SignalsQuery,
    StopItem,
    Stops,
    cursor_of,
)
from shared.db.database import Database
from shared.reasons import CATALOGUE
from shared.web.problems import not_found
from shared.web.routes import Access, Call, Nothing, Route

_SEND_WITHIN_S = 10.0  # a reader that takes longer for one event is gone or too slow


class Api:
    """The handlers of the read side."""

    def __init__(self, database: Database, reader: Reader, feed: Feed, *, heartbeat_s: float) -> None:
        self._database = database
        self._reader = reader
        self._feed = feed
        self._heartbeat_s = heartbeat_s

    def routes(self) -> list[Route]:
        """All routes of the ledger."""
        signals, executions, positions = "/api/v1/signals", "/api/v1/executions", "/api/v1/positions"
        listed = [
            Route("GET", signals, self.signals, "List signals", query=SignalsQuery, answer=Page[SignalItem]),
            Route("GET", signals + "/{signal_id}", self.signal, "Show a signal", query=SignalQuery, answer=SignalItem),
            Route(
                "GET", executions, self.executions, "List executions", query=ExecutionsQuery, answer=Page[ExecutionItem]
            ),
            Route("GET", executions + "/{execution_id}", self.execution, "Show an execution", answer=ExecutionItem),
            Route("GET", positions, self.positions, "List positions", query=PositionsQuery, answer=Page[PositionItem]),
            Route("GET", "/api/v1/reasons", self.reasons, "Explain errors", Access.ANYONE, answer=Page[ReasonItem]),
            Route(
                "GET",
                "/api/v1/attention",
                self.attention,
                "Executions that need attention",
                query=AttentionQuery,
                answer=Page[AttentionItem],
            ),
            Route("GET", "/api/v1/audit/verify", self.verify, "Verify every record", Access.ADMIN, answer=Audit),
            Route("GET", "/api/v1/stops", self.stops, "Where entries are stopped", Access.ADMIN, answer=Stops),
            Route("GET", "/api/v1/stream", self.stream, "Follow signals, executions and positions as they happen"),
        ]
        return [replace(route, tag="results") for route in listed]

    async def signals(self, call: Call[Nothing, SignalsQuery]) -> Page[SignalItem]:
        """Received signals, newest first."""
        query = call.query
        found = await self._reader.signals(call.user.scope, bot_id=query.bot_id, after=query.cursor, limit=query.limit)
        return Page(items=[SignalItem.of(row) for row in found.rows], next_cursor=cursor_of(found.last))

    async def signal(self, call: Call[Nothing, SignalQuery]) -> SignalItem:
        """One signal, with `wait` held until it is settled; a signal not yet received is waited for as well."""
        signal_id = call.id("signal_id", "signal")
        if call.query.wait:
            await self._until_settled(signal_id, call.user.scope, call.query.wait)
        signal = await self._signal(signal_id, call.user.scope)
        if signal is None:
            raise not_found("signal")
        return signal

    async def executions(self, call: Call[Nothing, ExecutionsQuery]) -> Page[ExecutionItem]:
        """Executions, the last recorded first."""
        query = call.query
        found = await self._reader.executions(
            call.user.scope,
            signal_id=query.signal_id,
            subscription_id=query.subscription_id,
            status=query.status,
            after=query.cursor,
            limit=query.limit,
        )
        return Page(items=[ExecutionItem.of(row) for row in found.rows], next_cursor=cursor_of(found.last))

    async def execution(self, call: Call[Nothing, Nothing]) -> ExecutionItem:
        """One execution."""
        row = await self._reader.execution(call.id("execution_id", "execution"), call.user.scope)
        if row is None:
            raise not_found("execution")
        return ExecutionItem.of(row)

    async def positions(self, call: Call[Nothing, PositionsQuery]) -> Page[PositionItem]:
        """Positions, the last opened first."""
        query = call.query
        found = await self._reader.positions(
            call.user.scope,
            status=query.status,
            subscription_id=query.subscription_id,
            after=query.cursor,
            limit=query.limit,
        )
        return Page(items=[PositionItem.of(row) for row in found.rows], next_cursor=cursor_of(found.last))

    async def reasons(self, _call: Call[Nothing, Nothing]) -> Page[ReasonItem]:
        """Every value that `error_code` can have, explained."""
        return Page(items=[ReasonItem.of(code, said) for code, said in CATALOGUE.items()], next_cursor=None)

    async def attention(self, call: Call[Nothing, AttentionQuery]) -> Page[AttentionItem]:
        """Executions that cannot be resolved without a person's help, the newest first."""
        query = call.query
        found = await self._reader.attentions(
            call.user.scope, status=query.status, after=query.cursor, limit=query.limit
        )
        return Page(items=[AttentionItem.of(row) for row in found.rows], next_cursor=cursor_of(found.last))

    async def verify(self, _call: Call[Nothing, Nothing]) -> Audit:
        """Whether the chain, its head and the read model agree."""
        verdict = await audit.verify(self._database)
        flaw = verdict.flaw
        bad = flaw and FirstBad(position=flaw.position, execution_id=flaw.execution_id, reason=flaw.reason)
        return Audit(ok=flaw is None, records=verdict.records, first_bad=bad)

    async def stops(self, _call: Call[Nothing, Nothing]) -> Stops:
        """Those in force first; `POST /api/v1/stops/{stop_id}/allow` ends one."""
        return Stops(items=[StopItem.model_validate(dict(row)) for row in await self._reader.stops()])

    async def stream(self, call: Call[Nothing, Nothing]) -> web.StreamResponse:
        """Server-sent events; nothing is replayed, so a reader that was away looks at the lists again."""
        async with (
            self._feed.listening(call.user.scope) as listener,
            sse_response(call.request, ping_interval=self._heartbeat_s, send_timeout=_SEND_WITHIN_S) as response,
            asyncio.TaskGroup() as tasks,
        ):
            sending = tasks.create_task(_send(listener, response))
            await response.wait()  # until the heartbeat finds the reader gone, or sending ends
            sending.cancel()
        return response

    async def _until_settled(self, signal_id: UUID, scope: UUID | None, wait_s: float) -> None:
        async with self._feed.listening(scope) as listener:
            signal = await self._signal(signal_id, scope)
            try:
                async with asyncio.timeout(wait_s):
                    while signal is None or signal.status == "pending":
                        event = await listener.next()
                        if isinstance(event.item, SignalItem) and event.item.id == signal_id:
                            signal = event.item
            except (TimeoutError, Lagging):
                return

    async def _signal(self, signal_id: UUID, scope: UUID | None) -> SignalItem | None:
        row = await self._reader.signal(signal_id, scope)
        return SignalItem.of(row) if row is not None else None


async def _send(listener: Listener, response: EventSourceResponse) -> None:
    try:
        while True:
            event = await listener.next()
            await response.send(event.data, id=str(event.change), event=event.kind)
    except (Lagging, ConnectionResetError, TimeoutError):
        response.stop_streaming()
