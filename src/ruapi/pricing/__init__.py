"""What a call costs: rates, the upper bound that is held before it, the cost of what was used. Pure."""
