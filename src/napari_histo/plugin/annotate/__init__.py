"""The Annotate panel, and the gestures on the canvas."""
