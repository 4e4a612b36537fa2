"""The only place that constructs the gateway's parts."""

from services.webhook_gateway import consume
from services.webhook_gateway.directory import Directory, Snapshot
from services.webhook_gateway.http import Webhook
from services.webhook_gateway.limits import Limits
from services.webhook_gateway.settings import SECRET_CONTEXT, Settings
from services.webhook_gateway.settling import Settling
from services.webhook_gateway.unsettled import Unsettled
from shared.bus import Bus
from shared.bus.topology import GATEWAY
from shared.clock import Clock
from shared.sealing import Cipher
from shared.service import Service
from shared.web.routes import mount


def build(settings: Settings, bus: Bus, clock: Clock, snapshot: Snapshot) -> Service:
    """The gateway over a bus that its owner runs."""
    directory = Directory(snapshot, Cipher(settings.webhook_secret_keys.get_secret_value(), SECRET_CONTEXT))
    limits = Limits(settings.redis_url)
    settling = Settling()
    unsettled = Unsettled(bus, settings.ask_again_after_s)
    webhook = Webhook(directory, limits, settling, unsettled, bus, clock, settings.trusted_proxies)

    return Service(
        name="webhook_gateway",
        # Hear of changes before loading: a bot changed in between is then in one of the two.
        parts=(
            lambda: bus.consuming(GATEWAY, consume.handler(directory, settling, unsettled)),
            directory.running,
            limits.running,
            settling.running,
            unsettled.running,
        ),
        waiting_for=(bus.waiting_for, directory.waiting_for),
        mount=lambda app: mount(app, webhook.routes()),
    )
