"""Models that give each place of a slide a tissue class."""
