"""Why an execution did not end as asked: our word, and the sentence that its customer reads. Pure.

Every sentence of a record is made here. `plainly` takes it from the catalogue; the other functions say it with the
case's own names and numbers. What the catalogue tells to do about it follows, then Binance's own words where there
are any: those are the same in every language.
"""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from shared.money import plain
from shared.reasons import CATALOGUE, Kind, Reason, Words


@dataclass(frozen=True, slots=True)
class Why:
    """Our word for it, the sentence for people, and Binance's number where it gave one.

    `said` is the cause in the exchange's own words, "" where it said nothing.
    """

    reason: Reason
    words: Words
    exchange_code: int | None = None
    said: str = ""

    @property
    def kind(self) -> Kind:
        """Whose matter it is."""
        return CATALOGUE[self.reason].kind


def plainly(reason: Reason) -> Why:
    """What the catalogue says, where there is nothing to add."""
    return _say(reason, CATALOGUE[reason].means)


def answered(reason: Reason, code: int | None, said: str) -> Why:
    """What the catalogue says, and the answer of the exchange's that it is about."""
    return _say(reason, CATALOGUE[reason].means, code, said if code is None else f"Binance {code}: {said}")


def caused(reason: Reason, cause: Why | None, means: Words | None = None) -> Why:
    """What the catalogue says, or `means` more exactly, and what went wrong at the exchange before it came to that."""
    means = means or CATALOGUE[reason].means
    return _say(reason, means, cause.exchange_code, cause.said) if cause else _say(reason, means)


def position_already_open(direction: str, symbol: str) -> Why:
    """`direction` is long or short."""
    adjective = {"long": "comprada", "short": "vendida"}[direction]
    return _say(
        Reason.POSITION_ALREADY_OPEN,
        Words(
            f"A {direction} position in {symbol} is open already.",
            f"Já existe uma posição {adjective} em {symbol} aberta.",
        ),
    )


def symbol_in_use(symbol: str) -> Why:
    """The account holds `symbol` by hand or for another subscription."""
    return _say(
        Reason.SYMBOL_IN_USE,
        Words(
            f"The account holds {symbol} otherwise, and the trade would touch it.",
            f"A conta já tem {symbol} por outro caminho, e a operação mexeria nele.",
        ),
    )


def max_concurrent_positions(is_open: int, limit: int) -> Why:
    """How many are open, of how many."""
    return _say(
        Reason.MAX_CONCURRENT_POSITIONS,
        Words(f"{is_open} of at most {limit} positions are open.", f"{is_open} de no máximo {limit} posições abertas."),
    )


def daily_loss_limit(lost_usd: Decimal, limit_usd: Decimal) -> Why:
    """USD of the UTC day."""
    lost, limit = plain(lost_usd), plain(limit_usd)
    return _say(
        Reason.DAILY_LOSS_LIMIT,
        Words(
            f"Lost {lost} of at most {limit} USD today (UTC).", f"Perda de {lost} de no máximo {limit} USD hoje (UTC)."
        ),
    )


def above_maximum(symbol: str, most: Decimal) -> Why:
    """`most` of the base asset in one market order."""
    return _say(
        Reason.ABOVE_MAXIMUM,
        Words(
            f"{symbol} takes at most {plain(most)} in one market order.",
            f"{symbol} aceita no máximo {plain(most)} em uma ordem a mercado.",
        ),
    )


def below_minimum(symbol: str, margin_usd: Decimal, leverage: int, enough_usd: Decimal | None) -> Why:
    """`enough_usd`: about the margin that would do; null where the account may not hold as much as the least order."""
    margin = plain(margin_usd)
    too_small = Words(
        f"{margin} USD at {leverage}× is too small for {symbol}", f"{margin} USD a {leverage}× é pouco para {symbol}"
    )
    if enough_usd is None:
        return _say(
            Reason.BELOW_MINIMUM,
            too_small
            + Words(", and Binance allows no more on this account.", ", e a Binance não permite mais nesta conta."),
        )
    enough = plain(enough_usd)
    return _say(
        Reason.BELOW_MINIMUM,
        too_small
        + Words(
            f": it needs a margin of about {enough} USD.",
            f": é preciso uma margem de cerca de {enough} USD.",
        ),
    )


def leverage_not_allowed(symbol: str, asked: int, most: int) -> Why:
    """`most` is the highest leverage that the account has for the symbol."""
    return _say(
        Reason.LEVERAGE_NOT_ALLOWED,
        Words(
            f"{asked}× was asked for, and Binance allows at most {most}× for {symbol} on this account.",
            f"Foi pedido {asked}×, e a Binance permite no máximo {most}× para {symbol} nesta conta.",
        ),
    )


def position_too_large(
    symbol: str, margin_usd: Decimal, leverage: int, held_usd: Decimal, most_usd: Decimal, highest: int | None
) -> Why:
    """`most_usd` may be held at `leverage`; `highest` is the leverage that this margin could have, null for none."""
    margin, held, most = plain(margin_usd), plain(round(held_usd, 2)), plain(most_usd)
    return _say(
        Reason.POSITION_TOO_LARGE,
        Words(
            f"Binance allows at most {most} USD of {symbol} at {leverage}× on this account; it holds {held} USD, and "
            f"{margin} USD at {leverage}× come on top. "
            + (f"With this margin {highest}× is allowed." if highest else "No leverage is low enough."),
            f"A Binance permite no máximo {most} USD de {symbol} a {leverage}× nesta conta; ela tem {held} USD, e "
            f"seriam mais {margin} USD a {leverage}×. "
            + (f"Com esta margem, {highest}× é permitido." if highest else "Nenhuma alavancagem é baixa o bastante."),
        ),
    )


def too_little_to_sell(symbol: str, margin_usd: Decimal, enough_usd: Decimal) -> Why:
    """A spot margin. `enough_usd`: about the one that would do."""
    margin, enough = plain(margin_usd), plain(enough_usd)
    return _say(
        Reason.BELOW_MINIMUM,
        Words(
            f"{margin} USD is too small for {symbol}: to be sold again, after the fee and at the stop-loss, it needs a "
            f"margin of about {enough} USD.",
            f"{margin} USD é pouco para {symbol}: para ser vendido de volta, depois da taxa e no stop loss, é preciso "
            f"uma margem de cerca de {enough} USD.",
        ),
    )


def nothing_to_sell(symbol: str) -> Why:
    """A sell on spot, where only what was bought can be sold."""
    return _say(
        Reason.NOTHING_TO_CLOSE,
        Words(
            f"This subscription holds no {symbol} that it bought, and spot cannot be sold short.",
            f"Esta assinatura não tem {symbol} que ela tenha comprado, e não se vende a descoberto no spot.",
        ),
    )


def no_protections(symbol: str) -> Why:
    """A spot symbol without stop-loss, take-profit or OCO orders."""
    return _say(
        Reason.SYMBOL_NOT_TRADING,
        Words(
            f"Binance Spot takes no stop-loss and take-profit orders in {symbol}, so nothing was bought.",
            f"A Binance Spot não aceita stop loss e take profit em {symbol}; nada foi comprado.",
        ),
    )


def not_in_dollars(symbol: str, quote: str) -> Why:
    """A symbol whose price is not in dollars, while margins are."""
    return _say(
        Reason.SYMBOL_NOT_TRADING,
        Words(
            f"{symbol} is priced in {quote}, not in dollars as margins are, so it is not traded.",
            f"{symbol} é cotado em {quote}, não em dólares como as margens; por isso não é operado.",
        ),
    )


def too_many_protections(symbol: str, most: int) -> Why:
    """`most`: how many stop-losses and take-profits an account may have in the symbol."""
    return _say(
        Reason.TOO_MANY_ORDERS,
        Words(
            f"An account may have {most} stop-losses and take-profits in {symbol}; nothing was bought beyond them.",
            f"Uma conta pode ter {most} stop loss e take profit em {symbol}; nada foi comprado além disso.",
        ),
    )


def bought_dust(quantity: Decimal) -> Why:
    """`quantity` of the base asset, which no order can sell."""
    amount = plain(quantity)
    return _say(
        Reason.NOT_FILLED,
        Words(
            f"Only {amount} was bought: too little to be protected or sold; it stays in the account.",
            f"Só {amount} foi comprado: é pouco para ser protegido ou vendido; fica na conta.",
        ),
    )


def symbol_not_trading(symbol: str, market: str = "USDⓈ-M Futures") -> Why:
    """Not listed in the market, or not trading now."""
    return _say(
        Reason.SYMBOL_NOT_TRADING,
        Words(f"Binance {market} does not trade {symbol}.", f"A Binance {market} não negocia {symbol}."),
    )


def environment_unavailable(environment: str) -> Why:
    """An account's environment that this installation has no exchange for."""
    return _say(
        Reason.ENVIRONMENT_UNAVAILABLE,
        Words(f"This installation does not trade on {environment}.", f"Esta instalação não opera em {environment}."),
    )


def not_filled(status: str) -> Why:
    """`status` is Binance's for the order."""
    return _say(
        Reason.NOT_FILLED,
        Words(
            f"The exchange let the order end as {status} without a fill: nobody took the other side.",
            f"A corretora encerrou a ordem como {status} sem execução: ninguém assumiu o outro lado.",
        ),
    )


def settings_not_made(cause: Why | None) -> Why:
    """The exchange gave no answer when the leverage or the margin type was to be set."""
    return caused(
        Reason.EXCHANGE_UNAVAILABLE,
        cause,
        Words(
            "The exchange did not answer when leverage or margin type were to be set; nothing was ordered.",
            "A corretora não respondeu quando a alavancagem ou o tipo de margem seriam ajustados; nada foi ordenado.",
        ),
    )


def through_the_stop(refusal: Why) -> Why:
    """The price was beyond the stop-loss before it stood."""
    return caused(
        Reason.UNPROTECTED_CLOSED,
        refusal,
        Words(
            "The price was through the stop-loss before it could be placed; the position was closed at market.",
            "O preço passou do stop loss antes que ele pudesse ser colocado; a posição foi fechada a mercado.",
        ),
    )


def by_person(reason: Reason, user_id: UUID) -> Why:
    """What an administrator found at the exchange, or did there."""
    return _say(
        reason,
        CATALOGUE[reason].means
        + Words(f" Administrator {user_id} looked and said so.", f" O administrador {user_id} verificou e confirmou."),
    )


def _say(reason: Reason, means: Words, code: int | None = None, said: str = "") -> Why:
    words = means + " " + CATALOGUE[reason].remedy
    return Why(reason, words + f" ({said})" if said else words, code, said)
