"""The Spot market: balances, orders, order lists."""
