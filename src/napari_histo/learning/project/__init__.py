"""The folder of a learning project: its images, splits and places."""
