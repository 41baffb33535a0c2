"""Training and judging of the model that answers clicks."""
