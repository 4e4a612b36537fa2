"""What is unknown of an execution that needs attention, and what a person can do about it, in two languages. Pure."""

from dataclasses import dataclass

from shared.contracts import Doubt
from shared.reasons import Words


@dataclass(frozen=True, slots=True)
class Doubtful:
    """`unknown`: what is not known; `advice`: what a person can do."""

    unknown: Words
    advice: Words


DOUBTS: dict[Doubt, Doubtful] = {
    Doubt.ORDER_UNKNOWN: Doubtful(
        Words(
            "The exchange has not said for a quarter of an hour whether it carried the order out.",
            "Há quinze minutos a corretora não diz se executou a ordem.",
        ),
        Words(
            "Look for the order by its client order id in the account's order history at Binance. If it is not there, "
            "resolve as not_placed. If it filled, close the position by hand, cancel its protections and resolve as "
            "closed_by_hand. Otherwise wait: it is asked about every minute.",
            "Procure a ordem pelo client order id no histórico de ordens da conta na Binance. Se ela não existir, "
            "resolva como not_placed. Se foi executada, feche a posição manualmente, cancele as proteções e resolva "
            "como closed_by_hand. Caso contrário, aguarde: perguntamos de novo a cada minuto.",
        ),
    ),
    Doubt.CLOSE_NOT_TAKEN: Doubtful(
        Words(
            "The exchange does not take the order that closes the position, and it may be open without its stop-loss.",
            "A corretora não aceita a ordem que fecha a posição, que pode estar aberta sem stop loss.",
        ),
        Words(
            "Close the position by hand at Binance now, cancel its protections and resolve as closed_by_hand. "
            "Otherwise the order is tried again every half minute.",
            "Feche a posição manualmente na Binance agora, cancele as proteções e resolva como closed_by_hand. "
            "Caso contrário, a ordem é tentada de novo a cada meio minuto.",
        ),
    ),
    Doubt.ENVIRONMENT_UNAVAILABLE: Doubtful(
        Words(
            "The execution was begun at an exchange that this installation does not trade on any more.",
            "A execução começou em uma corretora na qual esta instalação não opera mais.",
        ),
        Words(
            "Set the executors' LIVE_TRADING or PAPER_EXCHANGE_URL as before, and it goes on by itself. Or close what "
            "there is by hand, cancel its protections and resolve as closed_by_hand.",
            "Volte a configurar LIVE_TRADING ou PAPER_EXCHANGE_URL nos executores e ela continua sozinha. Ou feche "
            "manualmente o que houver, cancele as proteções e resolva como closed_by_hand.",
        ),
    ),
    Doubt.KEY_UNREADABLE: Doubtful(
        Words(
            "The account's key cannot be opened by the executors, so the exchange cannot be asked.",
            "Os executores não conseguem abrir a chave da conta; não é possível consultar a corretora.",
        ),
        Words(
            "Give the executors back the private key in SEALING_PRIVATE_KEYS and resolve as look_again. Or have the "
            "customer close what there is by hand and cancel its protections, and resolve as closed_by_hand.",
            "Devolva aos executores a chave privada em SEALING_PRIVATE_KEYS e resolva como look_again. Ou peça ao "
            "cliente que feche manualmente o que houver e cancele as proteções, e resolva como closed_by_hand.",
        ),
    ),
}
