"""The dispatcher's settings. It holds no key: what it sends on is sealed already."""

from shared.settings import AmqpUrl, CommonSettings, database_url


class Settings(CommonSettings):
    """Environment of `services.bot_registry.dispatcher`."""

    port: int = 8004
    database_url: str = database_url("bot_registry")
    amqp_url: AmqpUrl
