"""Rounds of a learning project, step by step, each sealed when it is done."""
