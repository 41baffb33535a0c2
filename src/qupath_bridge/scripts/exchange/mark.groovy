// Gives the selected annotations the class of a region of an active-learning round.

import qupath.lib.objects.classes.PathClass
import qupath.lib.scripting.QP

def hierarchy = QP.getCurrentImageData()?.getHierarchy()
def chosen = hierarchy?.getSelectionModel()?.getSelectedObjects()?.findAll { it.isAnnotation() } ?: []
chosen.each { it.setPathClass(PathClass.fromString(REGION_CLASS, REGION_COLOUR)) }
if (chosen) hierarchy.fireObjectClassificationsChangedEvent(this, chosen)
def none = 'Select an annotation first, then run this again.'
println chosen ? "${chosen.size()} regions: $REGION_CLASS" : none
