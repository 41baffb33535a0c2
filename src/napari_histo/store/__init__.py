"""Objects on disk: GeoJSON in QuPath's dialect, GeoParquet, label images."""
