"""Segmenting: what is asked for, how it is carried out, and what was found."""
