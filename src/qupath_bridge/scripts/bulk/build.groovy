// SPDX-License-Identifier: GPL-3.0-or-later
//
// QuPath's objects out of flat arrays.

import groovy.transform.CompileStatic
import java.nio.ByteBuffer
import java.nio.DoubleBuffer
import java.nio.IntBuffer
import java.nio.LongBuffer
import qupath.lib.measurements.MeasurementList
import qupath.lib.measurements.MeasurementListFactory
import qupath.lib.objects.PathAnnotationObject
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathObjects
import qupath.lib.objects.classes.PathClass
import qupath.lib.regions.ImagePlane
import qupath.lib.roi.interfaces.ROI

/** New objects and where each belongs; row i of `objects` has the parent id `parents[i]` or null. */
@CompileStatic
class Built {
    List<PathObject> objects
    UUID[] parents
}

@CompileStatic
class Builder {
    private final Packet packet
    private final Outlines outlines, nuclei
    private final ByteBuffer types, forms
    private final IntBuffer classes, states, sources, planes
    private final LongBuffer ids
    private final DoubleBuffer values
    private final List<String> names
    private final List<PathClass> known

    Builder(File folder) {
        packet = new Packet(folder)
        outlines = new Outlines(packet, '')
        nuclei = packet.has('nucleus_xy') ? new Outlines(packet, 'nucleus_') : null
        types = packet.bytes('object_type')
        forms = packet.bytes('form')
        classes = packet.bytes('class_id').asIntBuffer()
        states = packet.has('state_word') ? packet.bytes('state_word').asIntBuffer() : null
        sources = packet.has('source_id') ? packet.bytes('source_id').asIntBuffer() : null
        planes = packet.has('plane') ? packet.bytes('plane').asIntBuffer() : null
        ids = packet.bytes('object_id').asLongBuffer()
        names = (List<String>) packet.list('measurements')
        values = packet.bytes('values').asDoubleBuffer()
        known = pathClasses(packet.list('classes'))
    }

    /** Classes by the names and colours of a header; QuPath keeps one object a name for ever. */
    static List<PathClass> pathClasses(List described) {
        described.collect { item ->
            Map map = (Map) item
            PathClass found = PathClass.fromString((String) map.get('name'))
            found.setColor(Integer.valueOf(((Number) map.get('argb')).intValue()))
            return found
        }
    }

    Built build() {
        int n = packet.size()
        List<PathObject> objects = new ArrayList<>(n)
        for (int row = 0; row < n; row++) objects.add(one(row))
        for (item in packet.list('details')) addDetails(objects, (Map) item)
        return new Built(objects: objects, parents: parents(n))
    }

    private PathObject one(int row) {
        ImagePlane plane = planes == null ? ImagePlane.getDefaultPlane()
            : ImagePlane.getPlaneWithChannel(
                planes.get(3 * row), planes.get(3 * row + 1), planes.get(3 * row + 2))
        int position = classes.get(row)
        PathClass pathClass = position < 0 ? null : known.get(position)
        ROI roi = outlines.roi(row, forms.get(row), plane)
        PathObject object = typed(row, roi, pathClass, measured(row), plane)
        object.setID(new UUID(ids.get(2 * row), ids.get(2 * row + 1)))
        keep(object, Words.STATE, 'states', states, row)
        keep(object, Words.SOURCE, 'sources', sources, row)
        return object
    }

    private PathObject typed(int row, ROI roi, PathClass pathClass, MeasurementList list, ImagePlane plane) {
        // No switch: Groovy would ask a general method for each object.
        int type = types.get(row)
        if (type == Words.DETECTION) return PathObjects.createDetectionObject(roi, pathClass, list)
        if (type == Words.ANNOTATION) return PathObjects.createAnnotationObject(roi, pathClass, list)
        if (type == Words.TILE) return PathObjects.createTileObject(roi, pathClass, list)
        if (type != Words.CELL) throw new IllegalArgumentException("object type $type cannot be made")
        ROI nucleus = nuclei == null || nuclei.isEmpty(row) ? null : nuclei.roi(row, 0, plane)
        return PathObjects.createCellObject(roi, nucleus, pathClass, list)
    }

    private MeasurementList measured(int row) {
        int n = names.size(), start = row * n, filled = 0
        for (int i = 0; i < n; i++) if (!Double.isNaN(values.get(start + i))) filled++
        // Double precision: QuPath's own float lists would round what our table says.
        MeasurementList list = MeasurementListFactory.createMeasurementList(
            filled, MeasurementList.MeasurementListType.DOUBLE)
        for (int i = 0; i < n; i++) {
            double value = values.get(start + i)
            if (!Double.isNaN(value)) list.put(names.get(i), value)
        }
        list.close() // lets equal lists of names be shared: a third of the file
        return list
    }

    private void keep(PathObject object, String key, String words, IntBuffer positions, int row) {
        if (positions == null || positions.get(row) < 0) return
        Hidden.putMetadata(object, key, (String) packet.list(words).get(positions.get(row)))
    }

    /** What few objects carry; the colour after the class, which would reset it. */
    private static void addDetails(List<PathObject> objects, Map item) {
        PathObject object = objects.get(((Number) item.get('row')).intValue())
        if (item.get('name') != null) object.setName((String) item.get('name'))
        if (item.get('argb') != null)
            object.setColor(Integer.valueOf(((Number) item.get('argb')).intValue()))
        if (item.get('locked')) object.setLocked(true)
        ((Map) (item.get('metadata') ?: [:])).each { key, value ->
            Hidden.putMetadata(object, (String) key, (String) value)
        }
        String text = (String) item.get('description')
        if (text == null) return
        if (object instanceof PathAnnotationObject) object.setDescription(text)
        else Hidden.putMetadata(object, Words.DESCRIPTION, text)
    }

    private UUID[] parents(int n) {
        UUID[] found = new UUID[n]
        if (!packet.has('parent_id')) return found
        LongBuffer words = packet.bytes('parent_id').asLongBuffer()
        for (int row = 0; row < n; row++) {
            long high = words.get(2 * row), low = words.get(2 * row + 1)
            if (high != 0L || low != 0L) found[row] = new UUID(high, low)
        }
        return found
    }
}
