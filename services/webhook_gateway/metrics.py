"""What the gateway counts. No label may take a value that a caller chooses."""

from prometheus_client import Counter, Histogram

ALERTS = Counter("webhook_alerts_total", "Alerts by what became of them.", ["outcome"])
TOLD_AGAIN = Counter("webhook_signals_told_again", "Signals published again because their end was not heard.")
ACKNOWLEDGEMENT_SECONDS = Histogram(
    "webhook_acknowledgement_seconds",
    "From the headers of an accepted alert to the confirmation of the broker.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 3.0),
)
