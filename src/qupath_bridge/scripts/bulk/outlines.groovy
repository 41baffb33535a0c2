// SPDX-License-Identifier: GPL-3.0-or-later
//
// Outlines of many objects as flat arrays, to and from QuPath's ROIs.

import groovy.transform.CompileStatic
import java.nio.ByteBuffer
import java.nio.FloatBuffer
import java.nio.IntBuffer
import org.locationtech.jts.geom.Coordinate
import org.locationtech.jts.geom.Geometry
import org.locationtech.jts.geom.LineString
import org.locationtech.jts.geom.LinearRing
import org.locationtech.jts.geom.Polygon
import qupath.lib.geom.Point2
import qupath.lib.regions.ImagePlane
import qupath.lib.roi.EllipseROI
import qupath.lib.roi.GeometryTools
import qupath.lib.roi.PolygonROI
import qupath.lib.roi.ROIs
import qupath.lib.roi.RectangleROI
import qupath.lib.roi.interfaces.ROI

/** Vertices that QuPath copies at once; a point of each would be half of all garbage. */
@CompileStatic
class Vertices extends AbstractList<Point2> {
    private final FloatBuffer xy
    private final int start, n

    Vertices(FloatBuffer xy, int start, int n) { this.xy = xy; this.start = start; this.n = n }
    Point2 get(int i) { new Point2(xy.get(2 * (start + i)), xy.get(2 * (start + i) + 1)) }
    int size() { n }
}

/** Outlines as flat arrays: objects hold parts, parts hold rings, rings hold vertices. */
@CompileStatic
class Outlines {
    FloatBuffer xy
    IntBuffer rings, parts, objects
    ByteBuffer kind

    Outlines(Packet from, String prefix) {
        xy = from.bytes(prefix + 'xy').asFloatBuffer()
        rings = from.bytes(prefix + 'ring_offsets').asIntBuffer()
        parts = from.bytes(prefix + 'part_offsets').asIntBuffer()
        objects = from.bytes(prefix + 'object_offsets').asIntBuffer()
        kind = from.bytes(prefix + 'kind')
    }

    boolean isEmpty(int row) { objects.get(row) == objects.get(row + 1) }

    ROI roi(int row, int form, ImagePlane plane) {
        if (isEmpty(row)) return ROIs.createEmptyROI()
        int part = objects.get(row), ring = parts.get(part)
        boolean simple = objects.get(row + 1) == part + 1 && parts.get(part + 1) == ring + 1
        if (form != Words.AS_DRAWN) return boxed(ring, form, plane)
        int what = kind.get(row)
        if (what == Words.POINT) return points(row, plane)
        if (!simple) return GeometryTools.geometryToROI(geometry(row, what), plane)
        int start = rings.get(ring), stop = rings.get(ring + 1)
        if (what == Words.POLYGON) {
            // QuPath closes a polygon itself.
            if (stop - start > 1 && xy.get(2 * start) == xy.get(2 * stop - 2)
                    && xy.get(2 * start + 1) == xy.get(2 * stop - 1)) stop--
            return ROIs.createPolygonROI(vertices(start, stop), plane)
        }
        double[] x = column(start, stop, 0), y = column(start, stop, 1)
        if (x.length == 2) return ROIs.createLineROI(x[0], y[0], x[1], y[1], plane)
        return ROIs.createPolylineROI(x, y, plane)
    }

    private ROI boxed(int ring, int form, ImagePlane plane) {
        double left = Double.MAX_VALUE, top = left, right = -left, bottom = -left
        for (int i = rings.get(ring); i < rings.get(ring + 1); i++) {
            left = Math.min(left, xy.get(2 * i)); right = Math.max(right, xy.get(2 * i))
            top = Math.min(top, xy.get(2 * i + 1)); bottom = Math.max(bottom, xy.get(2 * i + 1))
        }
        if (form == Words.ELLIPSE)
            return ROIs.createEllipseROI(left, top, right - left, bottom - top, plane)
        return ROIs.createRectangleROI(left, top, right - left, bottom - top, plane)
    }

    private ROI points(int row, ImagePlane plane) {
        int start = rings.get(parts.get(objects.get(row)))
        int stop = rings.get(parts.get(objects.get(row + 1)))
        return ROIs.createPointsROI(column(start, stop, 0), column(start, stop, 1), plane)
    }

    private List<Point2> vertices(int start, int stop) { new Vertices(xy, start, stop - start) }

    private double[] column(int start, int stop, int axis) {
        double[] values = new double[stop - start]
        for (int i = start; i < stop; i++) values[i - start] = xy.get(2 * i + axis)
        return values
    }

    private Geometry geometry(int row, int what) {
        def factory = GeometryTools.getDefaultFactory()
        int first = objects.get(row), n = objects.get(row + 1) - first
        if (what == Words.LINE) {
            LineString[] lines = new LineString[n]
            for (int i = 0; i < n; i++)
                lines[i] = factory.createLineString(coordinates(parts.get(first + i)))
            return n == 1 ? lines[0] : factory.createMultiLineString(lines)
        }
        Polygon[] areas = new Polygon[n]
        for (int i = 0; i < n; i++) {
            int ring = parts.get(first + i), last = parts.get(first + i + 1)
            LinearRing[] holes = new LinearRing[last - ring - 1]
            for (int j = 0; j < holes.length; j++)
                holes[j] = factory.createLinearRing(coordinates(ring + 1 + j))
            areas[i] = factory.createPolygon(factory.createLinearRing(coordinates(ring)), holes)
        }
        return n == 1 ? areas[0] : factory.createMultiPolygon(areas)
    }

    private Coordinate[] coordinates(int ring) {
        int start = rings.get(ring), n = rings.get(ring + 1) - start
        Coordinate[] found = new Coordinate[n]
        for (int i = 0; i < n; i++)
            found[i] = new Coordinate(xy.get(2 * (start + i)), xy.get(2 * (start + i) + 1))
        return found
    }
}

/** ROIs written one after the other; the counterpart of Outlines. */
@CompileStatic
class OutlineSink implements Closeable {
    private final Sink xy, rings, parts, objects, kind
    private int nVertices = 0, nRings = 0, nParts = 0

    OutlineSink(File folder, String prefix) {
        xy = new Sink(folder, prefix + 'xy')
        rings = new Sink(folder, prefix + 'ring_offsets')
        parts = new Sink(folder, prefix + 'part_offsets')
        objects = new Sink(folder, prefix + 'object_offsets')
        kind = new Sink(folder, prefix + 'kind')
        for (sink in [rings, parts, objects]) sink.put(0)
    }

    void add(ROI roi) {
        if (roi != null && isDrawn(roi)) write(roi)
        objects.put(nParts)
        kind.putByte(roi == null || roi.isArea() ? Words.POLYGON
            : roi.isPoint() ? Words.POINT : Words.LINE)
    }

    /** QuPath learns whether a polygon is empty from its area, which takes longer than all else. */
    private static boolean isDrawn(ROI roi) {
        if (roi instanceof PolygonROI) return true
        return !roi.isEmpty()
    }

    /** What the coordinates stand for, where they alone do not say it. */
    static int form(ROI roi) {
        roi instanceof EllipseROI ? Words.ELLIPSE
            : roi instanceof RectangleROI && !roi.isEmpty() ? Words.RECTANGLE : Words.AS_DRAWN
    }

    private void write(ROI roi) {
        // The geometry of a polygon is mended where it crosses itself: slow, and not what was drawn.
        if (roi instanceof PolygonROI) {
            List<Point2> points = roi.getAllPoints()
            if (!points.isEmpty()) { ring(points, true); part() }
        }
        else if (roi.isPoint()) for (Point2 p in roi.getAllPoints()) { ring([p], false); part() }
        else write(roi.getGeometry())
    }

    private void write(Geometry geometry) {
        for (int i = 0; i < geometry.getNumGeometries(); i++) {
            Geometry one = geometry.getGeometryN(i)
            if (one.getNumGeometries() > 1) { write(one); continue }
            if (one.isEmpty()) continue
            if (one instanceof Polygon) {
                ring(one.getExteriorRing().getCoordinates())
                for (int j = 0; j < one.getNumInteriorRing(); j++)
                    ring(one.getInteriorRingN(j).getCoordinates())
            } else ring(one.getCoordinates())
            part()
        }
    }

    private void ring(List<Point2> points, boolean close) {
        for (Point2 p in points) vertex(p.getX(), p.getY())
        Point2 first = points.get(0), last = points.get(points.size() - 1)
        if (close && (points.size() < 2 || first.getX() != last.getX() || first.getY() != last.getY()))
            vertex(first.getX(), first.getY())
        rings.put(nVertices)
        nRings++
    }

    private void ring(Coordinate[] points) {
        for (Coordinate p in points) vertex(p.x, p.y)
        rings.put(nVertices)
        nRings++
    }

    private void vertex(double x, double y) { xy.putFloat(x); xy.putFloat(y); nVertices++ }
    private void part() { parts.put(nRings); nParts++ }
    void close() { for (sink in [xy, rings, parts, objects, kind]) sink.close() }
}
