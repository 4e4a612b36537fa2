"""Who may trade what: users, bots, exchange accounts, subscriptions; and the dispatcher that fans signals out."""
