"""The watcher's settings: those of an executor, on another port."""

from services.executor.settings import ProcessSettings


class WatcherSettings(ProcessSettings):
    """What a watcher needs."""

    port: int = 8007
