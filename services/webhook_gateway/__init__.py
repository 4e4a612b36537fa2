"""The webhook gateway: turns TradingView's alerts into signals, durably, before it answers."""
