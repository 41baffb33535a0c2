"""The strategies in plain words, for people who choose one."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["IN_WORDS"]

#: By name, in the order in which users are shown them: a title, and what it does.
IN_WORDS: Mapping[str, tuple[str, str]] = {
    "auto": (
        "Best for each round",
        "First what is typical of your slides, later what the model doubts, unlike each other.",
    ),
    "typical": ("Typical", "Regions that look like many others of your slides."),
    "contrast": ("Hard to recognise", "Regions that look least like themselves in other colours."),
    "uncertain": ("Unsure", "Regions whose nuclei the model is least sure of."),
    "disagreement": (
        "Contradictory",
        "Regions in which the model finds other nuclei when they are turned or stained otherwise.",
    ),
    "dropout": (
        "Unsure, by dropout",
        "Regions that change when parts of the network are left out; few networks can do this.",
    ),
    "diverse": ("Varied", "Regions as unlike each other, and what you annotated, as can be."),
    "badge": ("Unsure and varied", "Regions the model doubts, drawn so that they differ."),
    "balance": ("Rare classes", "Regions that bring the classes of which there are fewest."),
    "alike": ("Like this one", "Regions that look like what you see, or the nucleus you selected."),
    "grid": ("Evenly spread", "Regions at even distances over the slides."),
    "random": ("Random", "Regions by chance alone: the yardstick for all others."),
}
