"""Active learning: rounds as they are worked on."""
