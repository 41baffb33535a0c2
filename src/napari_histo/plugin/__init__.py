"""The only room with napari, Qt and magicgui."""
