"""What trainings of all families share: labelled pixels, patches, steps, cards."""
