// Gives the selected annotations the class of a region of an active-learning round.

import qupath.lib.objects.classes.PathClass
import qupath.lib.scripting.QP

def hierarchy = QP.getCurrentImageData()?.getHierarchy()
def chosen = hierarchy?.getSelectionModel()?.getSelectedObjects()?.findAll { it.isAnnotation() } ?: []
chosen.each { it.setPathClass(PathClass.fromString(REGION_CLASS)) }
if (chosen) hierarchy.fireObjectClassificationsChangedEvent(this, chosen)
println chosen ? "${chosen.size()} regions: $REGION_CLASS" : 'Select an annotation first, then run this again.'
