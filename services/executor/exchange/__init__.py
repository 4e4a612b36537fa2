"""Binance, as this executor talks to it."""
