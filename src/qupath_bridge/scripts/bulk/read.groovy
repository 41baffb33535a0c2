// SPDX-License-Identifier: GPL-3.0-or-later
//
// QuPath's objects into flat arrays.

import groovy.transform.CompileStatic
import java.nio.charset.StandardCharsets
import qupath.lib.io.GsonTools
import qupath.lib.measurements.MeasurementList
import qupath.lib.objects.PathAnnotationObject
import qupath.lib.objects.PathCellObject
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathTileObject
import qupath.lib.objects.TMACoreObject
import qupath.lib.objects.classes.PathClass
import qupath.lib.roi.interfaces.ROI

/** Every object below a root, parents before their children, without recursion: trees may be deep. */
@CompileStatic
class Walk {
    static List<PathObject> below(PathObject root) {
        List<PathObject> found = new ArrayList<>()
        ArrayDeque<PathObject> stack = new ArrayDeque<>()
        push(stack, root)
        while (!stack.isEmpty()) {
            PathObject object = stack.pop()
            found.add(object)
            push(stack, object)
        }
        return found
    }

    private static void push(ArrayDeque<PathObject> stack, PathObject parent) {
        if (!parent.hasChildObjects()) return
        PathObject[] children = parent.getChildObjectsAsArray()
        for (int i = children.length - 1; i >= 0; i--) stack.push(children[i])
    }

    /**
     * Give a new id to each object whose id an earlier one has; answers how many.
     *
     * The new one follows from the old id and its count, so that reading twice gives the same. Files
     * from before 0.4 hold no ids and QuPath invents others each time: with a `seed` that names
     * such a file all ids follow from it and from the order in the file.
     */
    static int mendIds(List<PathObject> objects, String seed) {
        if (seed != null)
            for (int row = 0; row < objects.size(); row++)
                objects.get(row).setID(named(seed + '#' + row))
        Map<UUID, Integer> seen = new HashMap<>(2 * objects.size())
        int n = 0
        for (PathObject object in objects) {
            Integer before = seen.put(object.getID(), 1)
            if (before == null) continue
            n++
            UUID old = object.getID()
            seen.put(old, before + 1)
            object.setID(named(old.toString() + '#' + before))
            seen.put(object.getID(), 1)
        }
        return n
    }

    private static UUID named(String text) {
        UUID.nameUUIDFromBytes(text.getBytes(StandardCharsets.UTF_8))
    }

    /** All ids by exclusive or: the same for the same objects in any order. */
    static String idSum(List<PathObject> objects) {
        long high = 0L, low = 0L
        for (PathObject object in objects) {
            high ^= object.getID().getMostSignificantBits()
            low ^= object.getID().getLeastSignificantBits()
        }
        return new UUID(high, low).toString()
    }

    static int type(PathObject object) {
        if (object instanceof PathCellObject) return Words.CELL
        if (object instanceof PathTileObject) return Words.TILE
        if (object instanceof TMACoreObject) return Words.TMA_CORE
        return object.isDetection() ? Words.DETECTION : Words.ANNOTATION
    }
}

/** Positions of values in the order in which they are first met. */
@CompileStatic
class Index<T> {
    final Map<T, Integer> known = new LinkedHashMap<>()

    int of(T value) {
        if (value == null) return -1
        Integer found = known.get(value)
        if (found == null) { found = known.size(); known.put(value, found) }
        return found
    }
}

@CompileStatic
class Packer implements Closeable {
    private final File folder
    private final OutlineSink outlines, nuclei
    private final Sink ids, parents, types, forms, classes, planes, states, sources, schemas, values
    private final Index<PathClass> classIndex = new Index<>()
    private final Index<String> stateIndex = new Index<>(), sourceIndex = new Index<>()
    private final Index<List<String>> schemaIndex = new Index<>()
    private final List<Map> details = []
    private List<String> lastNames = null
    private int lastSchema = -1

    Packer(File folder) {
        this.folder = folder
        outlines = new OutlineSink(folder, '')
        nuclei = new OutlineSink(folder, 'nucleus_')
        ids = new Sink(folder, 'object_id')
        parents = new Sink(folder, 'parent_id')
        types = new Sink(folder, 'object_type')
        forms = new Sink(folder, 'form')
        classes = new Sink(folder, 'class_id')
        planes = new Sink(folder, 'plane')
        states = new Sink(folder, 'state_word')
        sources = new Sink(folder, 'source_id')
        schemas = new Sink(folder, 'schema')
        values = new Sink(folder, 'values')
    }

    /** Write all objects below `root` to `folder`; answers how many there are. */
    static Map pack(PathObject root, File folder, String seed) {
        List<PathObject> objects = Walk.below(root)
        int doubles = Walk.mendIds(objects, seed)
        Packer packer = new Packer(folder)
        try {
            for (int row = 0; row < objects.size(); row++) packer.one(objects.get(row), row)
        } finally {
            packer.close()
        }
        packer.writeHeader(objects.size())
        return [n_objects: objects.size(), n_double_ids: doubles]
    }

    private void one(PathObject object, int row) {
        ROI roi = object.getROI()
        outlines.add(roi)
        nuclei.add(object instanceof PathCellObject ? object.getNucleusROI() : null)
        putId(ids, object.getID())
        PathObject parent = object.getParent()
        putId(parents, parent == null || parent.isRootObject() ? null : parent.getID())
        types.putByte(Walk.type(object))
        forms.putByte(OutlineSink.form(roi))
        classes.put(classIndex.of(object.getPathClass()))
        planes.put(roi == null ? -1 : roi.getC())
        planes.put(roi == null ? 0 : roi.getZ())
        planes.put(roi == null ? 0 : roi.getT())
        Map<String, String> metadata = Hidden.metadata(object)
        states.put(stateIndex.of(metadata.get(Words.STATE)))
        sources.put(sourceIndex.of(metadata.get(Words.SOURCE)))
        addMeasurements(object)
        addDetails(object, metadata, row)
    }

    private static void putId(Sink sink, UUID id) {
        sink.putLong(id == null ? 0L : id.getMostSignificantBits())
        sink.putLong(id == null ? 0L : id.getLeastSignificantBits())
    }

    /** Values behind one another; which names they bear is told once for each list of names. */
    private void addMeasurements(PathObject object) {
        if (!object.hasMeasurements()) { schemas.put(-1); return }
        MeasurementList list = object.getMeasurementList()
        List<String> names = list.getMeasurementNames()
        if (!names.is(lastNames)) {
            Integer found = schemaIndex.known.get(names)
            lastSchema = found == null ? schemaIndex.of(new ArrayList<String>(names)) : found
            lastNames = names
        }
        schemas.put(lastSchema)
        for (double value in list.values()) values.putDouble(value)
    }

    private void addDetails(PathObject object, Map<String, String> metadata, int row) {
        Map found = [:]
        if (object.getName() != null) found.put('name', object.getName())
        if (object.getColor() != null) found.put('argb', object.getColor())
        if (object.isLocked()) found.put('locked', true)
        if (object instanceof TMACoreObject) found.put('missing', object.isMissing())
        if (!metadata.isEmpty()) {
            Map rest = new LinkedHashMap(metadata)
            rest.remove(Words.STATE)
            rest.remove(Words.SOURCE)
            String text = (String) rest.remove(Words.DESCRIPTION)
            if (object instanceof PathAnnotationObject) text = object.getDescription()
            if (text != null) found.put('description', text)
            if (!rest.isEmpty()) found.put('metadata', rest)
        }
        if (!found.isEmpty()) { found.put('row', row); details.add(found) }
    }

    private void writeHeader(int n) {
        Map header = [
            n: n,
            classes: classIndex.known.keySet().collect { [name: it.toString(), argb: it.getColor()] },
            states: new ArrayList(stateIndex.known.keySet()),
            sources: new ArrayList(sourceIndex.known.keySet()),
            schemas: new ArrayList(schemaIndex.known.keySet()),
            details: details,
        ]
        new File(folder, 'header.json').setText(GsonTools.getInstance().toJson(header), 'UTF-8')
    }

    void close() {
        outlines.close()
        nuclei.close()
        for (sink in [ids, parents, types, forms, classes, planes, states, sources, schemas, values])
            sink.close()
    }
}
