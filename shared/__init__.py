"""What the services share. No business rule may live here."""
