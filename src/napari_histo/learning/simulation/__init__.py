"""Active learning played on images whose truth is known."""
