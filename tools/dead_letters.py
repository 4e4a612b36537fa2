"""Messages that could not be handled: `python -m tools.dead_letters list | show QUEUE | replay QUEUE [ID]`.

`list` counts them per queue; `show` tells what each is and why it is there, without its content; `replay` gives them,
or one, back to the queue that they came from, which is safe: every receiver knows what it has handled. AMQP_URL says
where.
"""

import argparse
import asyncio
import os
import sys

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel
from aio_pika.exceptions import ChannelNotFoundEntity

from shared.bus.topology import QUEUES, Queue
from tools.environment import local

_WORKED = {queue.name: queue for queue in QUEUES if not queue.broadcast}


async def count(url: str) -> dict[str, int]:
    """How many dead letters each queue has."""
    counts = {}
    async with await aio_pika.connect_robust(url) as connection:
        for queue in _WORKED.values():
            async with connection.channel() as channel:
                try:
                    declared = await channel.declare_queue(queue.dead, passive=True)
                except ChannelNotFoundEntity:
                    counts[queue.name] = 0
                else:
                    counts[queue.name] = declared.declaration_result.message_count or 0
    return counts


async def show(url: str, queue: Queue) -> list[str]:
    """A line for each dead letter of a queue: when, what, why. They stay where they are."""
    async with await aio_pika.connect_robust(url) as connection, connection.channel() as channel:
        letters = await _take(channel, queue)
        lines = [_line(letter) for letter in letters]
        for letter in letters:
            await letter.nack(requeue=True)
    return lines


async def replay(url: str, queue: Queue, message_id: str | None = None) -> int:
    """Give every dead letter, or that one, back to the queue it came from; each is confirmed there before it leaves."""
    async with (
        await aio_pika.connect_robust(url) as connection,
        connection.channel(publisher_confirms=True, on_return_raises=True) as channel,
    ):
        taken = await _take(channel, queue)
        letters = [letter for letter in taken if message_id in (None, letter.message_id)]
        for letter in taken:
            if letter not in letters:
                await letter.nack(requeue=True)
        for letter in letters:
            again = aio_pika.Message(
                letter.body,
                message_id=letter.message_id,
                type=letter.type,
                content_type=letter.content_type,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                reply_to=letter.reply_to,
            )
            await channel.default_exchange.publish(again, queue.name, mandatory=True)
            await letter.ack()
    return len(letters)


async def _take(channel: AbstractRobustChannel, queue: Queue) -> list[AbstractIncomingMessage]:
    dead = await channel.get_queue(queue.dead)
    letters = []
    while (letter := await dead.get(fail=False)) is not None:
        letters.append(letter)
    return letters


def _line(letter: AbstractIncomingMessage) -> str:
    said = {name: str(letter.headers.get(name, "?")) for name in ("x-failed-at", "x-reason")}
    return f"{said['x-failed-at']}  {letter.message_id}  {letter.type}  {said['x-reason']}"


def main() -> None:
    """Read the command line and do what it asks."""
    parser = argparse.ArgumentParser(prog="python -m tools.dead_letters", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="count the dead letters of every queue")
    for name, text in (("show", "say what they are and why they are there"), ("replay", "give them back")):
        command = commands.add_parser(name, help=text)
        command.add_argument("queue", choices=sorted(_WORKED))
        if name == "replay":
            command.add_argument("id", nargs="?", help="of one message, as `show` tells it; without it, all")
    asked = parser.parse_args()
    url = local(os.environ)["AMQP_URL"]
    if asked.command == "list":
        for name, number in asyncio.run(count(url)).items():
            print(f"{number:8}  {name}")
    elif asked.command == "show":
        print("\n".join(asyncio.run(show(url, _WORKED[asked.queue]))) or "none")
    else:
        print(f"{asyncio.run(replay(url, _WORKED[asked.queue], asked.id))} given back")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"AMQP_URL: RabbitMQ does not answer: {error}")
