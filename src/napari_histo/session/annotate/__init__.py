"""Objects under the user's hand: gestures, edits, undo, and the file that keeps them."""
