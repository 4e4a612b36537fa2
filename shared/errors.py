"""The exceptions of the rim: what a caller can do about a failure, not where it came from."""


class Transient(Exception):
    """What is needed (database, broker, another service) is away. Nothing is lost by trying again."""


class Poison(Exception):
    """The message can never be handled. It goes to the dead-letter queue at once."""
