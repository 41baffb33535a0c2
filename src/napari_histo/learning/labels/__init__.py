"""Labels themselves: which are likely wrong, and what several annotators agree on."""
