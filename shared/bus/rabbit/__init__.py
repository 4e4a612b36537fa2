"""The bus over RabbitMQ. The only importer of aio-pika.

Plain connections with a reconnection of our own rather than aio-pika's robust ones: one loop to read, and nothing is
restored behind our back. Traps of aio-pika 10 that the code below steps round:

- unroutable messages vanish silently unless `on_return_raises` is set;
- a connection that dies raises CancelledError into whoever uses it, which `except Exception` does not see;
- a publish that timed out may well have arrived; two in flight with one message id on one channel get mixed up;
- a channel that closes cancels the tasks of its consumer callbacks: ours only queue the message.
"""

from shared.bus.rabbit.bus import RabbitBus

__all__ = ["RabbitBus"]
