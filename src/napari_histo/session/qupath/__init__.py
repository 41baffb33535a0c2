"""A QuPath project as it is worked on."""
