"""Our stable words for why an execution did not end as asked: what each means and what to do, for people. Pure.

`error_code` of every record is one of `Reason`; `CATALOGUE` explains each in English and Portuguese. A record's own
sentence may be more exact (with numbers and names) than the meaning here. A word, once used, keeps its meaning.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Words:
    """What a person reads, in English and in Portuguese as it is spoken in Brazil."""

    en: str
    pt: str

    def __add__(self, more: "Words | str") -> "Words":
        """Both languages continued; a text is the same in both (numbers, names, Binance's own words)."""
        more = Words(more, more) if isinstance(more, str) else more
        return Words(self.en + more.en, self.pt + more.pt)


class Kind(StrEnum):
    """Whose matter it is."""

    BY_RULE = "by_rule"  # the bot's or the customer's own rule said no
    RETRYABLE = "retryable"  # certainly not carried out, and it may work another time
    OUTCOME_UNKNOWN = "outcome_unknown"  # it may have been carried out: asked about, never sent again on a guess
    CUSTOMER_MUST_ACT = "customer_must_act"
    OPERATOR_MUST_ACT = "operator_must_act"
    BUG = "bug"  # a request of ours that is wrong


class Reason(StrEnum):
    """`error_code`: why an execution was skipped or failed."""

    DUPLICATE = "duplicate"
    EXPIRED = "expired"
    OVERTAKEN = "overtaken"
    NOTHING_TO_CLOSE = "nothing_to_close"
    POSITION_ALREADY_OPEN = "position_already_open"
    OPPOSITE_POSITION_OPEN = "opposite_position_open"
    SYMBOL_IN_USE = "symbol_in_use"
    MAX_CONCURRENT_POSITIONS = "max_concurrent_positions"
    DAILY_LOSS_LIMIT = "daily_loss_limit"
    BELOW_MINIMUM = "below_minimum"
    ABOVE_MAXIMUM = "above_maximum"
    ENVIRONMENT_UNAVAILABLE = "environment_unavailable"
    STOPPED = "stopped"
    KEY_REJECTED = "key_rejected"
    KEY_UNREADABLE = "key_unreadable"
    INSUFFICIENT_MARGIN = "insufficient_margin"
    LEVERAGE_NOT_ALLOWED = "leverage_not_allowed"
    POSITION_TOO_LARGE = "position_too_large"
    SYMBOL_NOT_TRADING = "symbol_not_trading"
    ACCOUNT_RESTRICTED = "account_restricted"
    ACCOUNT_MODE = "account_mode"
    MARGIN_TYPE_LOCKED = "margin_type_locked"
    PROTECTION_IMPOSSIBLE = "protection_impossible"
    TOO_MANY_ORDERS = "too_many_orders"
    NO_COUNTERPARTY = "no_counterparty"
    PRICE_THROUGH = "price_through"
    TRIGGER_OUT_OF_RANGE = "trigger_out_of_range"
    REFUSED = "refused"
    UNRECOGNISED = "unrecognised"
    API_CHANGED = "api_changed"
    CLOCK_OFF = "clock_off"
    NO_POSITION_YET = "no_position_yet"
    NO_ANSWER = "no_answer"
    OUT_OF_STEP = "out_of_step"
    EXCHANGE_UNAVAILABLE = "exchange_unavailable"
    NOT_PLACED = "not_placed"
    NOT_FILLED = "not_filled"
    CLOSE_REFUSED = "close_refused"
    TAKE_PROFIT_MISSING = "take_profit_missing"
    PROTECTION_LEFT = "protection_left"
    UNPROTECTED_CLOSED = "unprotected_closed"
    CLOSED_BY_HAND = "closed_by_hand"


@dataclass(frozen=True, slots=True)
class Explained:
    """What a word means, and what a person can do about it."""

    kind: Kind
    means: Words
    remedy: Words


CATALOGUE: dict[Reason, Explained] = {
    Reason.DUPLICATE: Explained(
        Kind.BY_RULE,
        Words("The same alert came before.", "O mesmo alerta já tinha chegado."),
        Words("It is traded once; there is nothing to do.", "Ele é operado uma única vez; não há nada a fazer."),
    ),
    Reason.EXPIRED: Explained(
        Kind.BY_RULE,
        Words(
            "The signal was older than the bot allows when its turn came, so nothing was opened.",
            "O sinal era mais antigo do que o bot permite quando chegou a sua vez; nada foi aberto.",
        ),
        Words(
            "The next signal is traded again; if this happens often, the bot's max_signal_age_seconds is too short.",
            "O próximo sinal será operado normalmente; se isto se repete, o max_signal_age_seconds do bot é curto "
            "demais.",
        ),
    ),
    Reason.OVERTAKEN: Explained(
        Kind.BY_RULE,
        Words(
            "The signal was delayed, and a later one was carried out first; nothing was opened.",
            "O sinal atrasou e um sinal posterior foi executado antes; nada foi aberto.",
        ),
        Words(
            "The later signal stands, as it would have had both come in order; there is nothing to do.",
            "Vale o sinal posterior, como se os dois tivessem chegado em ordem; não há nada a fazer.",
        ),
    ),
    Reason.NOTHING_TO_CLOSE: Explained(
        Kind.BY_RULE,
        Words(
            "This subscription has no open position that the signal closes.",
            "Esta assinatura não tem posição aberta que o sinal feche.",
        ),
        Words(
            "Positions opened by hand are never touched; close those at Binance.",
            "Posições abertas manualmente nunca são tocadas; feche-as na Binance.",
        ),
    ),
    Reason.POSITION_ALREADY_OPEN: Explained(
        Kind.BY_RULE,
        Words(
            "This subscription holds a position in the symbol on that side already.",
            "Esta assinatura já tem uma posição no símbolo nesse mesmo lado.",
        ),
        Words(
            "The bot's max_entries_per_symbol says how many it may hold.",
            "O max_entries_per_symbol do bot diz quantas pode ter.",
        ),
    ),
    Reason.OPPOSITE_POSITION_OPEN: Explained(
        Kind.BY_RULE,
        Words(
            "An opposite position is open and the bot leaves it alone.",
            "Há uma posição oposta aberta e o bot a deixa como está.",
        ),
        Words(
            "The bot's on_opposite says what it does then.",
            "O on_opposite do bot diz o que fazer nesse caso.",
        ),
    ),
    Reason.SYMBOL_IN_USE: Explained(
        Kind.BY_RULE,
        Words(
            "The account holds the symbol otherwise, and the trade would touch it.",
            "A conta já tem o símbolo por outro caminho, e a operação mexeria nele.",
        ),
        Words(
            "Close what is held, or connect another account for this subscription.",
            "Feche o que está aberto ou conecte outra conta para esta assinatura.",
        ),
    ),
    Reason.MAX_CONCURRENT_POSITIONS: Explained(
        Kind.BY_RULE,
        Words(
            "The subscription's limit of open positions is reached.",
            "O limite de posições abertas da assinatura foi atingido.",
        ),
        Words("Raise the limit if you want more.", "Aumente o limite se quiser mais."),
    ),
    Reason.DAILY_LOSS_LIMIT: Explained(
        Kind.BY_RULE,
        Words(
            "The subscription's loss limit of the day (UTC) is reached.",
            "O limite de perda diária da assinatura (UTC) foi atingido.",
        ),
        Words("Entries go on after midnight UTC.", "As entradas voltam depois da meia-noite UTC."),
    ),
    Reason.BELOW_MINIMUM: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words("The order is too small for this symbol.", "A ordem é pequena demais para este símbolo."),
        Words("Raise the margin.", "Aumente a margem."),
    ),
    Reason.ABOVE_MAXIMUM: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words(
            "The order is larger than the symbol takes in one market order.",
            "A ordem é maior do que o símbolo aceita em uma ordem a mercado.",
        ),
        Words("Lower the margin or the leverage.", "Reduza a margem ou a alavancagem."),
    ),
    Reason.ENVIRONMENT_UNAVAILABLE: Explained(
        Kind.OPERATOR_MUST_ACT,
        Words(
            "This installation does not trade in the account's environment.",
            "Esta instalação não opera no ambiente da conta.",
        ),
        Words(
            "Connect an account of another environment, or ask the operator.",
            "Conecte uma conta de outro ambiente ou fale com o operador.",
        ),
    ),
    Reason.STOPPED: Explained(
        Kind.OPERATOR_MUST_ACT,
        Words(
            "New entries are stopped for everybody: the exchange refuses the stop-losses of several accounts in a way "
            "that nobody foresaw.",
            "Novas entradas estão paradas para todos: a corretora recusa o stop loss de várias contas de um modo que "
            "ninguém previu.",
        ),
        Words(
            "Exits go on. An administrator allows entries again once the cause is known.",
            "As saídas continuam. Um administrador libera as entradas quando a causa for conhecida.",
        ),
    ),
    Reason.KEY_REJECTED: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words(
            "Binance does not accept the API key: it was revoked, its IP restriction shuts us out, or trading is not "
            "permitted.",
            "A Binance não aceita a chave de API: foi revogada, a restrição de IP nos bloqueia ou ela não permite "
            "operar.",
        ),
        Words(
            "Make a new key and connect the account again.",
            "Crie uma nova chave e conecte a conta outra vez.",
        ),
    ),
    Reason.KEY_UNREADABLE: Explained(
        Kind.OPERATOR_MUST_ACT,
        Words(
            "The account's key was sealed for other executors.",
            "A chave da conta foi selada para outros executores.",
        ),
        Words("Connect the account again.", "Conecte a conta outra vez."),
    ),
    Reason.INSUFFICIENT_MARGIN: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words(
            "The wallet has too little free balance for this trade.",
            "A carteira tem saldo livre insuficiente para esta operação.",
        ),
        Words("Transfer USDT to it, or lower the margin.", "Transfira USDT para ela ou reduza a margem."),
    ),
    Reason.LEVERAGE_NOT_ALLOWED: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words("Binance does not allow this leverage here.", "A Binance não permite esta alavancagem aqui."),
        Words("Choose a lower one.", "Escolha uma menor."),
    ),
    Reason.POSITION_TOO_LARGE: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words(
            "The position would be larger than Binance allows at this leverage.",
            "A posição seria maior do que a Binance permite com esta alavancagem.",
        ),
        Words("Lower the leverage or the margin.", "Reduza a alavancagem ou a margem."),
    ),
    Reason.SYMBOL_NOT_TRADING: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words("Binance does not trade this symbol now.", "A Binance não negocia este símbolo agora."),
        Words("Check the alert's ticker.", "Confira o ticker do alerta."),
    ),
    Reason.ACCOUNT_RESTRICTED: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words("Binance has restricted trading on this account.", "A Binance restringiu as operações desta conta."),
        Words(
            "Log in to Binance to see why and have it lifted.",
            "Entre na Binance para ver o motivo e pedir a liberação.",
        ),
    ),
    Reason.ACCOUNT_MODE: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words(
            "The account's position or margin mode does not suit the order.",
            "O modo de posição ou de margem da conta não serve para a ordem.",
        ),
        Words(
            "Leave the modes alone while trades are open.",
            "Não altere os modos enquanto houver operações abertas.",
        ),
    ),
    Reason.MARGIN_TYPE_LOCKED: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words(
            "The bot asks for another margin type, and Binance does not let it be changed now; nothing was ordered.",
            "O bot pede outro tipo de margem, e a Binance não permite mudá-lo agora; nada foi ordenado.",
        ),
        Words(
            "Close the positions and orders that the account has in the symbol, and switch multi-assets mode off.",
            "Feche as posições e ordens que a conta tem no símbolo e desative o modo de múltiplos ativos.",
        ),
    ),
    Reason.PROTECTION_IMPOSSIBLE: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words(
            "The price is too near to the lowest or the highest that Binance takes for the symbol: there is no room "
            "for the stop-loss or the take-profit, so nothing was opened.",
            "O preço está perto demais do menor ou do maior que a Binance aceita para o símbolo: não há espaço para o "
            "stop loss ou o take profit, e nada foi aberto.",
        ),
        Words("Trade another symbol.", "Opere outro símbolo."),
    ),
    Reason.TOO_MANY_ORDERS: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words(
            "The account has reached Binance's limit of open orders.",
            "A conta atingiu o limite de ordens abertas da Binance.",
        ),
        Words("Cancel some of them.", "Cancele algumas delas."),
    ),
    Reason.NO_COUNTERPARTY: Explained(
        Kind.RETRYABLE,
        Words(
            "The market was too thin to fill the order near its price.",
            "O mercado tinha pouca liquidez para executar a ordem perto do preço.",
        ),
        Words("Choose a more liquid symbol.", "Escolha um símbolo mais líquido."),
    ),
    Reason.PRICE_THROUGH: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words(
            "The price was through the order's trigger already.",
            "O preço já tinha passado do gatilho da ordem.",
        ),
        Words("Ask for a wider stop-loss or take-profit.", "Peça um stop loss ou um take profit mais distante."),
    ),
    Reason.TRIGGER_OUT_OF_RANGE: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words(
            "The price asked for lies outside of what Binance takes in this symbol.",
            "O preço pedido está fora do que a Binance aceita neste símbolo.",
        ),
        Words(
            "Ask for a stop-loss or take-profit that is nearer to the price.",
            "Peça um stop loss ou um take profit mais perto do preço.",
        ),
    ),
    Reason.REFUSED: Explained(
        Kind.BUG,
        Words("Binance refused the request.", "A Binance recusou a requisição."),
        Words(
            "This is for the operator to look at; it has been logged.",
            "Isto cabe ao operador; o caso foi registrado.",
        ),
    ),
    Reason.UNRECOGNISED: Explained(
        Kind.BUG,
        Words(
            "The exchange gave an answer that this software does not know.",
            "A corretora deu uma resposta que este software não conhece.",
        ),
        Words(
            "What became of the order is asked at the exchange; the operator has been told.",
            "O destino da ordem é consultado na corretora; o operador foi avisado.",
        ),
    ),
    Reason.API_CHANGED: Explained(
        Kind.OPERATOR_MUST_ACT,
        Words(
            "The exchange does not offer this request any more.",
            "A corretora não oferece mais esta requisição.",
        ),
        Words(
            "This software must be updated by its operator, who has been told.",
            "Este software precisa ser atualizado pelo operador, que foi avisado.",
        ),
    ),
    Reason.CLOCK_OFF: Explained(
        Kind.RETRYABLE,
        Words(
            "Our clock and the exchange's differed, or the request was too long on its way; nothing was done.",
            "O nosso relógio e o da corretora divergiam, ou a requisição demorou demais; nada foi feito.",
        ),
        Words("The next signal is tried again.", "O próximo sinal será tentado de novo."),
    ),
    Reason.NO_POSITION_YET: Explained(
        Kind.RETRYABLE,
        Words(
            "The exchange did not see the position yet that the order was to protect.",
            "A corretora ainda não via a posição que a ordem deveria proteger.",
        ),
        Words("It is tried again at once.", "A tentativa é repetida em seguida."),
    ),
    Reason.NO_ANSWER: Explained(
        Kind.OUTCOME_UNKNOWN,
        Words(
            "The exchange did not say whether it carried the request out.",
            "A corretora não disse se executou a requisição.",
        ),
        Words(
            "It is asked until that is certain, and nothing is sent twice.",
            "Ela é consultada até haver certeza, e nada é enviado duas vezes.",
        ),
    ),
    Reason.OUT_OF_STEP: Explained(
        Kind.OUTCOME_UNKNOWN,
        Words(
            "The exchange has it otherwise than the request took for granted: there already, or no more.",
            "Na corretora a situação é outra do que a requisição supunha: já existe ou não existe mais.",
        ),
        Words("What stands there is looked up.", "O que existe lá é consultado."),
    ),
    Reason.EXCHANGE_UNAVAILABLE: Explained(
        Kind.RETRYABLE,
        Words(
            "The exchange did not take the order; nothing was traded.",
            "A corretora não aceitou a ordem; nada foi operado.",
        ),
        Words("The next signal is tried again.", "O próximo sinal será tentado de novo."),
    ),
    Reason.NOT_PLACED: Explained(
        Kind.OUTCOME_UNKNOWN,
        Words(
            "The exchange never got the order; it was not sent again, since the price has moved on.",
            "A corretora nunca recebeu a ordem; ela não foi reenviada, pois o preço já mudou.",
        ),
        Words("The next signal is traded again.", "O próximo sinal será operado normalmente."),
    ),
    Reason.NOT_FILLED: Explained(
        Kind.RETRYABLE,
        Words(
            "The exchange let the order end without a fill: nobody took the other side.",
            "A corretora encerrou a ordem sem execução: ninguém assumiu o outro lado.",
        ),
        Words("Choose a more liquid symbol.", "Escolha um símbolo mais líquido."),
    ),
    Reason.CLOSE_REFUSED: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words(
            "The exchange refuses to close the position; orders of the account may stand in the way.",
            "A corretora recusa fechar a posição; ordens da conta podem estar no caminho.",
        ),
        Words(
            "Close it at Binance; it keeps its stop-loss until then.",
            "Feche-a na Binance; até lá ela mantém o stop loss.",
        ),
    ),
    Reason.TAKE_PROFIT_MISSING: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words(
            "The position is open with its stop-loss, but without its take-profit.",
            "A posição está aberta com o stop loss, mas sem o take profit.",
        ),
        Words("Set one at Binance if you want it.", "Coloque um na Binance, se quiser."),
    ),
    Reason.PROTECTION_LEFT: Explained(
        Kind.CUSTOMER_MUST_ACT,
        Words(
            "The position is closed, but a stop-loss or take-profit of it could not be cancelled.",
            "A posição está fechada, mas um stop loss ou take profit dela não pôde ser cancelado.",
        ),
        Words(
            "Cancel it at Binance: it could close a position that you open by hand.",
            "Cancele-o na Binance: ele poderia fechar uma posição que você abrir manualmente.",
        ),
    ),
    Reason.UNPROTECTED_CLOSED: Explained(
        Kind.RETRYABLE,
        Words(
            "The stop-loss could not be placed and the position was closed at market.",
            "O stop loss não pôde ser colocado e a posição foi fechada a mercado.",
        ),
        Words("The next signal is traded again.", "O próximo sinal será operado normalmente."),
    ),
    Reason.CLOSED_BY_HAND: Explained(
        Kind.OUTCOME_UNKNOWN,
        Words(
            "It could not be found out what became of the orders; a person closed what there was at the exchange.",
            "Não foi possível saber o que houve com as ordens; uma pessoa fechou o que havia na corretora.",
        ),
        Words(
            "Check the account's positions and open orders at Binance; there is nothing else to do.",
            "Confira as posições e as ordens abertas da conta na Binance; não há mais nada a fazer.",
        ),
    ),
}
