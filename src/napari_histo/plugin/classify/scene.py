"""The layers of one image whose cells are classified, and the mouse on them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from napari_histo.plugin.annotate.canvas import Stroke
from napari_histo.plugin.annotate.words import object_facts
from napari_histo.plugin.objects_scene import ObjectsScene
from napari_histo.session.classify.controller import ClassifyController

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["ClassifyScene"]


class ClassifyScene(ObjectsScene):
    """Objects in the colours of their classes; a click makes an example.

    Only for the thread of the window.
    """

    def __init__(self, viewer: ViewerModel, image: Image, session: ClassifyController) -> None:
        self._session = session
        super().__init__(viewer, image, session, session.ledger)
        self.layer.cursor = "pointing"
        session.recoloured.connect(self.view.recolour)

    def close(self) -> None:
        """As `ObjectsScene.close`."""
        self._session.recoloured.disconnect(self.view.recolour)
        super().close()

    def facts_of(self, object_id: UUID) -> str:
        """With the class that the object is shown in."""
        session = self._session
        row = session.objects.row_of(object_id)
        table = session.objects.get([object_id])
        shown = session.ledger.class_ids(np.array([row]))
        table = table.with_columns(class_id=shown, classes=session.ledger.classes)
        return object_facts(table, session.pixel_size)

    def _on_stroke(self, stroke: Stroke) -> None:
        if stroke.is_click:
            x, y = stroke.xy[0].tolist()
            if stroke.exclude:
                self._session.take_back(x, y)
            else:
                self._session.click(x, y)

    def _on_class(self, name: str) -> None:
        self._session.choose(name)

    @property
    def _class_names(self) -> tuple[str, ...]:
        return self._session.teachable.names
