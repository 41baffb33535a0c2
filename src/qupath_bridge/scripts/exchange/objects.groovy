// -- an image's objects --------------------------------------------------------------------------
//
// QuPath 0.4 to 0.7. Only calls that all of them have are made; where they differ, a comment says.

import com.google.gson.JsonPrimitive
import groovy.transform.CompileStatic
import java.nio.charset.StandardCharsets
import java.security.MessageDigest
import org.locationtech.jts.geom.Coordinate
import org.locationtech.jts.geom.Geometry
import org.locationtech.jts.geom.Polygon
import qupath.lib.geom.Point2
import qupath.lib.images.ImageData
import qupath.lib.io.PathIO
import qupath.lib.measurements.MeasurementList
import qupath.lib.objects.PathCellObject
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathTileObject
import qupath.lib.objects.TMACoreObject
import qupath.lib.objects.classes.PathClass
import qupath.lib.objects.classes.PathClassTools
import qupath.lib.objects.hierarchy.PathObjectHierarchy
import qupath.lib.regions.ImagePlane
import qupath.lib.roi.EllipseROI
import qupath.lib.roi.PolygonROI
import qupath.lib.roi.interfaces.ROI

/** Objects of an image, parents before children, each with an id that no other has. */
@CompileStatic
class Found {
    final List<PathObject> objects = []
    final Map<PathObject, UUID> ids = new IdentityHashMap<>()

    Found(PathObject root) {
        ArrayDeque<PathObject> stack = new ArrayDeque<>([root])
        Map<UUID, Integer> seen = new HashMap<>()
        while (!stack.isEmpty()) {
            PathObject object = stack.pop()
            if (!object.is(root)) { objects.add(object); ids.put(object, idOf(object, seen)) }
            PathObject[] children = object.getChildObjectsAsArray()
            for (int i = children.length - 1; i >= 0; i--) stack.push(children[i])
        }
    }

    /** Copies may bear one id: what comes later gets another, always the same. */
    private static UUID idOf(PathObject object, Map<UUID, Integer> seen) {
        UUID id = object.getID()
        int before = seen.merge(id, 1, { Integer a, Integer b -> a + b }) - 1
        if (before == 0) return id
        UUID other = UUID.nameUUIDFromBytes("$id#$before".toString().getBytes(StandardCharsets.UTF_8))
        seen.put(other, 1)
        return other
    }

    UUID parentOf(PathObject object) { ids.get(object.getParent()) }
}

/** An object as one line of GeoJSON. QuPath's own lacks the parent, and metadata in 0.4. */
@CompileStatic
class Feature {
    static final String PARENT = 'napari-histo.parent'

    static String text(PathObject object, UUID id, UUID parent, boolean coloured = true) {
        StringBuilder to = new StringBuilder(600)
        to.append('{"type":"Feature","id":"').append(id).append('","geometry":')
        outline(to, object.getROI())
        if (object instanceof PathCellObject && object.getNucleusROI() != null)
            outline(to.append(',"nucleusGeometry":'), object.getNucleusROI())
        to.append(',"properties":{"objectType":"').append(type(object)).append('"')
        if (object.getName() != null) to.append(',"name":').append(quoted(object.getName()))
        if (object.getColor() != null) colour(to.append(',"color":'), object.getColor())
        if (object.getPathClass() != null) classified(to, object.getPathClass(), coloured)
        if (object.isLocked()) to.append(',"isLocked":true')
        if (object instanceof TMACoreObject) to.append(',"isMissing":').append(object.isMissing())
        measured(to, object.getMeasurementList())
        noted(to, Hidden.metadata(object), parent)
        return to.append('}}').toString()
    }

    /** Changes when the object does, but not with the colour of its class, which is the project's. */
    static String print(PathObject object, UUID id, UUID parent) {
        byte[] text = text(object, id, parent, false).getBytes(StandardCharsets.UTF_8)
        byte[] hash = MessageDigest.getInstance('MD5').digest(text)
        return hash.encodeHex().toString().substring(0, 16)
    }

    static String quoted(String text) { new JsonPrimitive(text).toString() }

    private static String type(PathObject object) {
        if (object instanceof PathCellObject) return 'cell'
        if (object instanceof PathTileObject) return 'tile'
        if (object instanceof TMACoreObject) return 'tmaCore'
        return object.isDetection() ? 'detection' : 'annotation'
    }

    static void colour(StringBuilder to, int argb) {
        to.append('[').append((argb >> 16) & 255).append(',').append((argb >> 8) & 255)
            .append(',').append(argb & 255).append(']')
    }

    private static void classified(StringBuilder to, PathClass found, boolean coloured) {
        List<String> names = PathClassTools.splitNames(found)
        to.append(',"classification":{')
        if (names.size() == 1) to.append('"name":').append(quoted(names[0]))
        else to.append('"names":[').append(names.collect { quoted(it) }.join(',')).append(']')
        if (coloured && found.getColor() != null) colour(to.append(',"color":'), found.getColor())
        to.append('}')
    }

    /** The names are called getNames() since 0.6; the old call stays. */
    private static void measured(StringBuilder to, MeasurementList list) {
        if (list.isEmpty()) return
        List<String> names = list.getMeasurementNames()
        double[] values = list.values()
        String before = ',"measurements":{'
        for (int i = 0; i < values.length; i++) {
            double value = values[i]
            to.append(before).append(quoted(names[i])).append(':')
            if (Double.isNaN(value) || Double.isInfinite(value)) to.append('"').append(value).append('"')
            else if ((double) (float) value == value) to.append((float) value)
            else to.append(value)
            before = ','
        }
        to.append('}')
    }

    private static void noted(StringBuilder to, Map<String, String> metadata, UUID parent) {
        String before = ',"metadata":{'
        for (entry in metadata.entrySet()) {
            if (entry.getKey() == PARENT || entry.getValue() == null) continue
            to.append(before).append(quoted(entry.getKey())).append(':').append(quoted(entry.getValue()))
            before = ','
        }
        if (parent != null) {
            to.append(before).append('"' + PARENT + '":"').append(parent).append('"')
            before = ','
        }
        if (before == ',') to.append('}')
    }

    private static void outline(StringBuilder to, ROI roi) {
        if (roi == null) { to.append('null'); return }
        if (roi.isPoint()) points(to, roi.getAllPoints())
        else if (roi instanceof PolygonROI) {
            // As it was drawn; its geometry would be mended where it crosses itself.
            to.append('{"type":"Polygon","coordinates":[')
            if (!roi.getAllPoints().isEmpty()) ring(to, closed(roi.getAllPoints()))
            to.append(']')
        }
        else shape(to, roi)
        ImagePlane plane = roi.getImagePlane()
        if (plane != ImagePlane.getDefaultPlane())
            to.append(',"plane":{"c":').append(plane.getC()).append(',"z":').append(plane.getZ())
                .append(',"t":').append(plane.getT()).append('}')
        if (roi instanceof EllipseROI) to.append(',"isEllipse":true')
        to.append('}')
    }

    private static void points(StringBuilder to, List<Point2> points) {
        boolean one = points.size() == 1
        to.append('{"type":"').append(one ? 'Point' : 'MultiPoint').append('","coordinates":')
        if (!one) to.append('[')
        points.eachWithIndex { Point2 p, int i ->
            if (i > 0) to.append(',')
            place(to, p.getX(), p.getY())
        }
        if (!one) to.append(']')
    }

    private static void shape(StringBuilder to, ROI roi) {
        List<Geometry> parts = []
        if (!roi.isEmpty()) collect(parts, roi.getGeometry())
        boolean many = parts.size() > 1
        to.append('{"type":"').append(many ? 'Multi' : '').append(roi.isArea() ? 'Polygon' : 'LineString')
            .append('","coordinates":')
        if (many || parts.isEmpty()) to.append('[')
        for (int i = 0; i < parts.size(); i++) {
            if (i > 0) to.append(',')
            Geometry part = parts[i]
            if (part instanceof Polygon) area(to, part) else ring(to, part.getCoordinates().toList())
        }
        if (many || parts.isEmpty()) to.append(']')
    }

    private static void collect(List<Geometry> parts, Geometry geometry) {
        if (geometry.getNumGeometries() == 1) { if (!geometry.isEmpty()) parts.add(geometry.getGeometryN(0)) }
        else for (int i = 0; i < geometry.getNumGeometries(); i++) collect(parts, geometry.getGeometryN(i))
    }

    private static void area(StringBuilder to, Polygon area) {
        ring(to.append('['), area.getExteriorRing().getCoordinates().toList())
        for (int i = 0; i < area.getNumInteriorRing(); i++)
            ring(to.append(','), area.getInteriorRingN(i).getCoordinates().toList())
        to.append(']')
    }

    private static List<Coordinate> closed(List<Point2> points) {
        List<Coordinate> ring = points.collect { new Coordinate(it.getX(), it.getY()) }
        if (ring.size() < 2 || ring[0] != ring[-1]) ring.add(ring[0])
        return ring
    }

    private static void ring(StringBuilder to, List<Coordinate> points) {
        to.append('[')
        for (int i = 0; i < points.size(); i++) {
            if (i > 0) to.append(',')
            place(to, points[i].x, points[i].y)
        }
        to.append(']')
    }

    private static void place(StringBuilder to, double x, double y) {
        number(to.append('['), x)
        number(to.append(','), y)
        to.append(']')
    }

    /** Two decimals, as QuPath writes. */
    private static void number(StringBuilder to, double value) {
        long hundredths = Math.round(value * 100)
        if (hundredths < 0) { to.append('-'); hundredths = -hundredths }
        to.append(hundredths.intdiv(100))
        int rest = (int) (hundredths % 100)
        if (rest == 0) return
        to.append('.').append(rest.intdiv(10))
        if (rest % 10 != 0) to.append(rest % 10)
    }
}

/** Detections hand out no metadata in 0.4 and a read-only map in 0.5, but save what they hold. */
class Hidden {
    static Map<String, String> metadata(PathObject object) { object.getUnmodifiableMetadataMap() }
    static void note(PathObject object, String key, String value) { object.storeMetadataValue(key, value) }
}

/** An image's objects, and the marks of what came from napari. */
class Content {
    static final String MARKS = 'napari-histo.marks'
    PathObjectHierarchy hierarchy
    String marks = ''

    static Content of(ImageData image) {
        new Content(hierarchy: image.getHierarchy(), marks: image.getProperty(MARKS) ?: '')
    }

    /**
     * From a data file. QuPath's own reading goes on for ever where a file is cut short, and an
     * entry's answers a damaged file with an empty image, which would look as if all were deleted.
     */
    static Content of(File data) {
        def found = new Content(hierarchy: new PathObjectHierarchy())
        if (new File(data.path + '.bkp').exists())
            throw new IOException("QuPath is saving it, or was stopped while it did")
        if (!data.exists()) return found
        boolean identified = true
        def file = new BufferedInputStream(new FileInputStream(data))
        PathIO.createObjectInputStream(file).withCloseable { stream ->
            stream.readUTF()
            for (def part = next(stream); part != 'EOF'; part = next(stream)) {
                if (part instanceof String) identified = identified && hasIds(part)
                if (part instanceof PathObjectHierarchy) found.hierarchy.setHierarchy(part)
                if (part instanceof Map) found.marks = part[MARKS] ?: ''
            }
        }
        if (!identified && found.hierarchy.getRootObject().hasChildObjects())
            throw new IOException('it was saved by a QuPath before 0.4, so that its objects have no ' +
                'ids yet: open it, save it, and run this again')
        return found
    }

    private static next(ObjectInputStream stream) {
        try { return stream.readObject() }
        catch (ClassNotFoundException other) { return null } // of an extension: not ours
        catch (EOFException | StreamCorruptedException end) {
            throw new IOException('its data file is damaged: put a backup copy in its place')
        }
    }

    private static boolean hasIds(String server) {
        def version = server =~ /"qupathVersion"\s*:\s*"v?0\.(\d+)/
        return !(server.startsWith('Image path: ') || version && version[0][1].toInteger() < 4)
    }
}
