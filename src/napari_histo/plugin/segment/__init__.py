"""The Segment panel, and the layers of what it finds."""
