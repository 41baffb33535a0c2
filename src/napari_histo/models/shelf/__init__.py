"""Where models lie, come from and go by name, and whether they are whole."""
