# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between QuPath's versions 0.4 to 0.7 and touches this bridge.

Read from QuPath's public source at the tags ``v0.2.3``, ``v0.3.2``, ``v0.4.4``, ``v0.5.1``,
``v0.6.0`` and ``v0.7.0`` (https://github.com/qupath/qupath); run on 0.5.1. The rows say where the
bridge meets a difference; a call that is the same in all of them stands nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DIFFERENCES", "Difference"]


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes
    ----------
    what : str
        What QuPath does, and in which versions.
    upstream : str
        Where its source shows it.
    ours : str
        What the bridge does about it, and in which file.
    """

    what: str
    upstream: str
    ours: str


DIFFERENCES = (
    Difference(
        "Objects have no ids in files of QuPath before 0.4; each reading invents others.",
        "PathObject.readExternal and PathObject.setID, since 0.4.0",
        "Ids follow from the order in the file until the first write (Entry.seed in "
        "scripts/bulk/entry.groovy).",
    ),
    Difference(
        "Files written by 0.4 to 0.7 say version 3, though they hold ids among the metadata.",
        "PathIO.DATA_FILE_VERSION, PathIO.requestedDataFileVersion",
        "The version of QuPath in the file's server description decides, not the file's number.",
    ),
    Difference(
        "Detections hand out no map of metadata in 0.4 and a read-only one in 0.5, but save what "
        "they hold; since 0.6 the map is open and asking for it makes one.",
        "PathDetectionObject.getMetadata, PathObject.getMetadata, storeMetadataValue",
        "The protected methods that all versions have are called (Hidden in "
        "scripts/bulk/packet.groovy).",
    ),
    Difference(
        "Lists of measurements in double precision round to single precision, in 0.4 to 0.7.",
        "NumericMeasurementList.DoubleList.setValue",
        "Measurements are compared in single precision (_fields.py).",
    ),
    Difference(
        "MeasurementList.getMeasurementNames is called getNames since 0.6; the old name stays.",
        "MeasurementList",
        "The old name is used (scripts/bulk/read.groovy).",
    ),
    Difference(
        "An entry's own reading answers a damaged file with an empty image, in all versions.",
        "DefaultProject.DefaultProjectImageEntry.readImageData",
        "The file is read by PathIO, which raises (Entry.load in scripts/bulk/entry.groovy).",
    ),
    Difference(
        "Builders of images tell their metadata to their own package alone until 0.5, and as an "
        "Optional since 0.6.",
        "ImageServerBuilder.AbstractServerBuilder.getMetadata",
        "Both are taken, where an image file is missing (Entry.server in "
        "scripts/bulk/entry.groovy).",
    ),
    Difference(
        "Summaries are made by a class that is not public; its constructor is the same in all.",
        "DefaultProject.ImageDataSummary",
        "It is called by reflection (Entry.save in scripts/bulk/entry.groovy).",
    ),
    Difference(
        "The window's images are had by getViewers in 0.4, by getAllViewers since 0.5.",
        "QuPathGUI.getViewers, QuPathGUI.getAllViewers",
        "Whichever is there is called (Exchange.viewers in scripts/exchange/folder.groovy).",
    ),
    Difference(
        "GeoJSON holds neither the parent of an object, nor metadata of detections in 0.4, and "
        "outlines that cross themselves are mended, in all versions.",
        "QuPathTypeAdapters.PathObjectTypeAdapter, PolygonROI.getGeometry",
        "The exchange scripts write the text themselves (Feature in "
        "scripts/exchange/objects.groovy).",
    ),
)
