"""What the gateway hears from the bus: changed bots and settled signals."""

from collections.abc import Sequence

from services.webhook_gateway.directory import Directory
from services.webhook_gateway.settling import Settling
from services.webhook_gateway.unsettled import Unsettled
from shared.bus import Handler
from shared.contracts import BotChanged, Message, SignalSettled


def handler(directory: Directory, settling: Settling, unsettled: Unsettled) -> Handler:
    """The handler of the gateway's queue."""

    async def handle(messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, BotChanged):
                directory.learn(message.bot)
            elif isinstance(message, SignalSettled):
                settling.announce(message)
                unsettled.forget(message.signal_id)

    return handle
