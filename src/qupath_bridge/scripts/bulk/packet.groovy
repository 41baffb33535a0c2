// SPDX-License-Identifier: GPL-3.0-or-later
//
// Objects in bulk between a QuPath hierarchy and a folder of flat arrays: the folder.
//
// The files of this directory are compiled once inside the worker's JVM, in the order packet,
// outlines, build, read, entry. One call handles a whole image: neither Python nor JSON is asked
// for each object, which is what makes 100,000 objects a second possible. packet.py writes and reads
// the other end and tells the layout.

import groovy.transform.CompileDynamic
import groovy.transform.CompileStatic
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel
import java.nio.file.Files
import java.nio.file.StandardOpenOption
import qupath.lib.io.GsonTools
import qupath.lib.objects.PathObject

/** Words that both ends use; the numbers are those of napari_histo.core. */
@CompileStatic
class Words {
    static final int DETECTION = 0, ANNOTATION = 1, CELL = 2, TILE = 3, TMA_CORE = 4
    static final int POLYGON = 0, LINE = 1, POINT = 2
    static final int AS_DRAWN = 0, RECTANGLE = 1, ELLIPSE = 2
    static final String STATE = 'napari-histo.state', SOURCE = 'napari-histo.source'
    static final String DESCRIPTION = 'ANNOTATION_DESCRIPTION'
}

/** What QuPath keeps to its own classes in some of the versions 0.4 to 0.7; see compat.py. */
@CompileDynamic
class Hidden {
    /** Detections hand out a read-only map until 0.5, but do save what is stored in them. */
    static void putMetadata(PathObject object, String key, String value) {
        object.storeMetadataValue(key, value)
    }

    /** Unlike getMetadata() it makes no map for objects that have none. */
    static Map<String, String> metadata(PathObject object) { object.getUnmodifiableMetadataMap() }
}

/** A folder of little-endian arrays and a header. */
@CompileStatic
class Packet {
    final File folder
    final Map header

    Packet(File folder) {
        this.folder = folder
        header = (Map) GsonTools.getInstance().fromJson(
            new File(folder, 'header.json').getText('UTF-8'), Map)
    }

    int size() { ((Number) header.get('n')).intValue() }
    boolean has(String name) { new File(folder, name + '.bin').exists() }

    ByteBuffer bytes(String name) {
        ByteBuffer.wrap(Files.readAllBytes(new File(folder, name + '.bin').toPath()))
            .order(ByteOrder.LITTLE_ENDIAN)
    }

    List list(String name) { (List) (header.get(name) ?: []) }
}

/** One growing array on disk. */
@CompileStatic
class Sink implements Closeable {
    private final FileChannel channel
    private final ByteBuffer buffer = ByteBuffer.allocate(1 << 18).order(ByteOrder.LITTLE_ENDIAN)

    Sink(File folder, String name) {
        channel = FileChannel.open(new File(folder, name + '.bin').toPath(),
            StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)
    }

    private void room() { if (buffer.remaining() < 8) flush() }
    private void flush() {
        buffer.flip()
        while (buffer.hasRemaining()) channel.write(buffer)
        buffer.clear()
    }

    void put(int value) { room(); buffer.putInt(value) }
    void putByte(int value) { room(); buffer.put((byte) value) }
    void putFloat(double value) { room(); buffer.putFloat((float) value) }
    void putDouble(double value) { room(); buffer.putDouble(value) }
    void putLong(long value) { room(); buffer.putLong(value) }
    void close() { flush(); channel.close() }
}
