"""Carries out the machine's effects and says what was observed."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal

import structlog
from prometheus_client import Counter

from services.executor import why
from services.executor.exchange.budget import Urgency
from services.executor.exchange.client import Failed, NotInDollars, UnknownSymbol
from services.executor.exchange.futures import Futures
from services.executor.exchange.governor import urgent
from services.executor.exchange.market import Market
from services.executor.exchange.spot import Spot
from services.executor.known import Accounts
from services.executor.orders import (
    TRAITS,
    AccountView,
    CancelProtection,
    Oco,
    Release,
    SetLeverage,
    SetMarginType,
    Settle,
)
from services.executor.outcomes import judge
from services.executor.reconcile import Reconciler
from services.executor.state import (
    Absent,
    Do,
    Done,
    Find,
    FindProtection,
    NotStanding,
    Observation,
    Place,
    Prepare,
    Prepared,
    Protect,
    Refused,
    Seen,
    Settled,
    Standing,
    StillOpen,
    Stopped,
    Through,
    Uncertain,
    Unsent,
    Work,
)
from services.executor.stops import Stops
from services.executor.store import Held, Store
from services.executor.verdict import Gone, Open
from shared.contracts import Action, Environment, Job, MarketType
from shared.reasons import Kind, Reason
from shared.sealing import CannotOpen, Credentials, Opener

log = structlog.get_logger()
_errors = Counter("tradecast_exchange_errors_total", "answers that were no success", ["kind", "reason", "code"])

Performed = Prepare | Place | Find | Protect | FindProtection | Do


class Performer:
    """Performs effects for any customer."""

    def __init__(
        self,
        exchanges: Mapping[tuple[Environment, MarketType], Market],
        opener: Opener,
        store: Store,
        reconciler: Reconciler,
        stops: Stops,
    ) -> None:
        self._exchanges = exchanges
        self._opener = opener
        self._store = store
        self._reconciler = reconciler
        self._stops = stops
        self._accounts = Accounts()

    def exchange(self, job: Job) -> Market | None:
        """The market that a job trades in; null where this executor is not set up for it."""
        return self._exchanges.get((job.environment, job.config.market_type))

    def credentials(self, job: Job) -> Credentials:
        """The customer's key, opened for the length of the work. Raises CannotOpen."""
        return self._opener.open(job.sealed_credentials, job.exchange_account_id)

    async def perform(self, exchange: Market, work: Work, effect: Performed) -> Observation:
        """Carry out one effect. Every outcome is an observation; nothing of the exchange's is raised."""
        try:
            with urgent(_urgency(work, effect)):
                return await self._perform(exchange, self.credentials(work.job), work, effect)
        except CannotOpen:
            return Refused(why.plainly(Reason.KEY_UNREADABLE))
        except UnknownSymbol as error:
            return Refused(why.symbol_not_trading(str(error), TRAITS[exchange.market].name))
        except NotInDollars as error:
            return Refused(why.not_in_dollars(error.symbol, error.quote))
        except Failed as error:
            judged = _heard(judge(error.reply, exchange.market), work)
            if isinstance(effect, Protect):
                await self._stops.heed(work.job, error.reply)
            if isinstance(judged, Refused) and isinstance(effect, Protect) and isinstance(effect.protection, Oco):
                return await _through(exchange, effect.protection, judged)
            return judged
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            # an answer that is not what Binance documents: what was asked for may have been carried out
            log.exception("answer_not_understood", execution_id=str(work.job.execution_id))
            return Uncertain(why.answered(Reason.NO_ANSWER, None, f"an answer not understood: {error!r}"))

    async def _perform(self, exchange: Market, credentials: Credentials, work: Work, effect: Performed) -> Observation:
        match effect:
            case Prepare(afresh):
                view = await self._view(exchange, credentials, work, afresh=afresh)
                return Prepared(view, await self._store.is_overtaken(work))
            case Place(order, intent):
                stopped = None if order.reduce_only else await self._stops.why(work.job)
                if stopped is not None:
                    return Stopped(stopped)
                return Seen(await exchange.place(credentials, order, intent))
            case Find(symbol, client_id, moved):
                await exchange.know_clock()  # P3 stands on it
                asked_ms = exchange.now_ms()
                order_found = await exchange.find(credentials, symbol, client_id)
                if order_found is not None and order_found.order_id:  # without: archived, which one so young cannot be
                    return Seen(order_found)
                if moved is not None and moved.by(await exchange.held_net(credentials, moved, client_id)):
                    said = "the exchange does not show the order, but what the account holds moved by it"
                    return Uncertain(why.answered(Reason.EXCHANGE_UNAVAILABLE, None, said))
                return Absent(asked_ms)
            case Protect(protection, intent):
                return Standing(*await exchange.protect(credentials, protection, intent))
            case FindProtection(symbol, client_id, target_client_id):
                names = (client_id,) if target_client_id is None else (client_id, target_client_id)
                await exchange.know_clock()
                asked_ms = exchange.now_ms()
                order_ids = await exchange.standing(credentials, symbol, *names)
                return Standing(*order_ids) if order_ids else NotStanding(asked_ms)
            case Do(step):
                return await self._do(exchange, credentials, work.job, step)

    async def _do(
        self,
        exchange: Market,
        credentials: Credentials,
        job: Job,
        step: SetMarginType | SetLeverage | CancelProtection | Release | Settle,
    ) -> Observation:
        match step:
            case SetMarginType():
                assert isinstance(exchange, Futures), "spot has no margin"
                await exchange.set_margin_type(credentials, step)
                return Done()
            case SetLeverage():
                assert isinstance(exchange, Futures), "only futures are leveraged"
                await exchange.set_leverage(credentials, step)
                return Done()
            case CancelProtection():
                await exchange.cancel_protection(credentials, step)
                return Done()
            case Release():
                assert isinstance(exchange, Spot), "only spot locks what it protects"
                return await exchange.release(credentials, step.position)
            case Settle():
                return await self._settle(exchange, credentials, job, step)

    async def _settle(self, exchange: Market, credentials: Credentials, job: Job, step: Settle) -> Settled | StillOpen:
        gone: Open | Gone = Gone(step.reason, step.exit_order_ids)
        if not step.exit_order_ids:
            gone = await self._reconciler.look(exchange, credentials, step.position, job)
        if isinstance(gone, Open):
            return StillOpen()
        return await self._reconciler.settle(exchange, credentials, step.position, gone)

    async def _view(self, exchange: Market, credentials: Credentials, work: Work, *, afresh: bool) -> AccountView:
        signal, job = work.signal, work.job
        held_by_us = await self._standing(exchange, credentials, work)
        own = tuple(held.position for held in held_by_us if held.subscription_id == job.subscription_id)
        others = tuple(held.position for held in held_by_us if held.subscription_id != job.subscription_id)
        if not work.opens:
            return AccountView(False, None, None, None, (), own, others)
        assert signal.symbol is not None, "the gateway takes no entry without a ticker"
        rules = await exchange.rules(signal.symbol)
        lost = Decimal(0)
        if job.config.max_daily_loss_usd is not None:
            lost = await self._store.lost_today(job.subscription_id)
        if isinstance(exchange, Spot):
            price, funds = await asyncio.gather(
                exchange.price(signal.symbol), exchange.funds(credentials, signal.symbol)
            )
            return AccountView(False, rules, price, None, (), own, others, lost, funds=funds)
        assert isinstance(exchange, Futures), "there are two markets"
        price, holding, known = await asyncio.gather(
            exchange.price(signal.symbol),
            exchange.holding(credentials, signal.symbol),
            self._accounts.read(exchange, credentials, job.exchange_account_id, signal.symbol, afresh=afresh),
        )
        return AccountView(
            known.hedge,
            rules,
            price,
            holding.leverage,
            holding.held,
            own,
            others,
            lost,
            holding.margin_type,
            known.brackets[signal.symbol],
        )

    async def _standing(self, exchange: Market, credentials: Credentials, work: Work) -> list[Held]:
        """Our positions on the account, those that the signal may touch looked at anew."""
        signal, job = work.signal, work.job
        known = await self._store.open_positions(job.exchange_account_id, job.config.market_type)
        if not work.opens and self._store.is_late(signal):
            # a delayed exit closes what it would have closed in its time, not what was opened by signals after it
            known = [held for held in known if held.work.signal.received_at <= signal.received_at]
        counted = work.opens and job.config.max_concurrent_positions is not None
        standing = []
        for held in known:
            mine = held.subscription_id == job.subscription_id
            touched = held.position.symbol == signal.symbol or (mine and (signal.action is Action.CLOSE_ALL or counted))
            if not touched or await self._reconciler.check(exchange, credentials, held):
                standing.append(held)
        return standing


async def _through(exchange: Market, oco: Oco, refused: Refused) -> Refused | Through:
    """Binance says that the price is through one leg of an order list, but not through which."""
    if refused.why.reason is not Reason.PRICE_THROUGH:
        return refused
    assert isinstance(exchange, Spot), "only spot has order lists"
    with suppress(Failed):
        if await exchange.price_now(oco.symbol) >= oco.target.trigger:
            return Through(oco.target.reason, refused)
    return Through(oco.stop.reason, refused)


def _heard(judged: Refused | Unsent | Uncertain, work: Work) -> Refused | Unsent | Uncertain:
    """The same; counted, and told to the operator where it is theirs or ours to act on."""
    cause = judged.why
    _errors.labels(cause.kind, cause.reason, cause.exchange_code or "").inc()
    if cause.kind in (Kind.BUG, Kind.OPERATOR_MUST_ACT):
        log.error(
            "exchange_refused_unforeseen",
            execution_id=str(work.job.execution_id),
            kind=cause.kind,
            reason=cause.reason,
            said=cause.said,
        )
    return judged


def _urgency(work: Work, effect: Performed) -> Urgency:
    """What its reads hold up."""
    match effect:
        case Prepare():
            return Urgency.READ if work.signal.action.is_entry else Urgency.RESOLVE
        case Find(pricing=True) | Do(SetLeverage() | SetMarginType()) | Do(Settle(exit_order_ids=(_, *_))):
            return Urgency.READ
        case _:
            return Urgency.RESOLVE
