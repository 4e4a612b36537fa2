"""The fixtures of the system tests serve here too."""

from tests.system.conftest import stack_database, virtual_host

__all__ = ["stack_database", "virtual_host"]
