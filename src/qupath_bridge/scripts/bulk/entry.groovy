// SPDX-License-Identifier: GPL-3.0-or-later
//
// An image's data file: read, changed by id, written beside the old one.

import groovy.transform.CompileDynamic
import groovy.transform.CompileStatic
import java.awt.image.BufferedImage
import java.nio.file.Files
import qupath.lib.images.ImageData
import qupath.lib.images.servers.ImageServer
import qupath.lib.io.GsonTools
import qupath.lib.io.PathIO
import qupath.lib.objects.PathObject
import qupath.lib.objects.hierarchy.PathObjectHierarchy

/** Adds, replaces and removes objects by id. Works below the hierarchy, one bulk call a parent. */
@CompileStatic
class Upsert {
    private final PathObject root
    private final Map<UUID, PathObject> old, fresh = new HashMap<>()
    private final Set<PathObject> leaving = Collections.newSetFromMap(new IdentityHashMap<>())
    int nDoubles

    Upsert(PathObject root, String seed) {
        this.root = root
        List<PathObject> present = Walk.below(root)
        nDoubles = Walk.mendIds(present, seed)
        old = new HashMap<>(2 * present.size())
        for (PathObject object in present) old.put(object.getID(), object)
    }

    Map apply(Built built, Collection<UUID> removed) {
        int nChanged = 0, nRemoved = 0
        for (UUID id in removed) if (leave(id)) nRemoved++
        for (PathObject object in built.objects) {
            if (fresh.put(object.getID(), object) != null)
                throw new IllegalArgumentException("id ${object.getID()} occurs twice")
            if (leave(object.getID())) nChanged++
        }
        rehome()
        attach(built)
        int n = Walk.below(root).size()
        int expected = old.size() - nRemoved - nChanged + built.objects.size()
        if (n != expected)
            throw new IllegalStateException("parents form a ring: ${expected - n} objects hang in it")
        return [added: built.objects.size() - nChanged, changed: nChanged, removed: nRemoved,
                unchanged: old.size() - nChanged - nRemoved, n_objects: n, n_double_ids: nDoubles]
    }

    private boolean leave(UUID id) {
        PathObject object = old.get(id)
        return object != null && leaving.add(object)
    }

    /** Children that stay follow the replacement of their parent, else go to who stays above. */
    private void rehome() {
        Map<PathObject, List<PathObject>> homes = new IdentityHashMap<>()
        Map<PathObject, List<PathObject>> parents = new IdentityHashMap<>()
        for (PathObject object in leaving) {
            of(parents, object.getParent()).add(object)
            if (!object.hasChildObjects()) continue
            List<PathObject> staying = []
            for (PathObject child in object.getChildObjectsAsArray())
                if (!leaving.contains(child)) staying.add(child)
            if (staying.isEmpty()) continue
            of(homes, home(object)).addAll(staying)
            object.removeChildObjects(staying)
        }
        parents.each { PathObject parent, List<PathObject> children -> parent.removeChildObjects(children) }
        homes.each { PathObject parent, List<PathObject> children -> parent.addChildObjects(children) }
    }

    /** The list of a parent; computeIfAbsent would wrap its closure anew for each object. */
    private static List<PathObject> of(Map<PathObject, List<PathObject>> groups, PathObject parent) {
        List<PathObject> group = groups.get(parent)
        if (group == null) groups.put(parent, group = new ArrayList<PathObject>())
        return group
    }

    private PathObject home(PathObject object) {
        PathObject above = object
        while (leaving.contains(above)) {
            PathObject replacement = fresh.get(above.getID())
            if (replacement != null) return replacement
            above = above.getParent()
        }
        return above
    }

    private void attach(Built built) {
        Map<PathObject, List<PathObject>> groups = new IdentityHashMap<>()
        for (int row = 0; row < built.parents.length; row++) {
            PathObject parent = root
            UUID id = built.parents[row]
            if (id != null) {
                PathObject named = fresh.get(id) ?: old.get(id)
                if (named != null && !leaving.contains(named)) parent = named
            }
            of(groups, parent).add(built.objects.get(row))
        }
        groups.each { PathObject parent, List<PathObject> children -> parent.addChildObjects(children) }
    }
}

/** One image of a project, by the files that its data live in. */
@CompileDynamic
class Entry {
    /** Image property with the marks of our last writes, the latest first. QuPath keeps it. */
    static final String MARKS = 'napari-histo.marks'
    static final int N_MARKS = 20

    /** All objects of a data file into `folder`; needs neither the project nor the image. */
    static Map read(File data, File folder) {
        return Packer.pack(PathIO.readHierarchy(data).getRootObject(), folder, seed(data))
    }

    /** How many objects a data file holds. */
    static Map count(File data) {
        List<PathObject> objects = Walk.below(PathIO.readHierarchy(data).getRootObject())
        return [n_objects: objects.size(), id_sum: Walk.idSum(objects)]
    }

    /** Marks of our writes that a data file is based on. */
    static Map marks(File data) {
        new ObjectInputStream(new BufferedInputStream(new FileInputStream(data))).withCloseable {
            it.readUTF()
            // Text, settings, the hierarchy, a map of properties, and the word EOF.
            def part = it.readObject()
            while (!(part instanceof Map) && part != 'EOF') part = it.readObject()
            return [marks: part instanceof Map ? part.get(MARKS) ?: '' : '']
        }
    }

    /** A name for a file whose objects have no ids, as those of QuPath before 0.4; else null. */
    static String seed(File data) {
        if (!data.exists()) return null
        String server = new ObjectInputStream(new BufferedInputStream(new FileInputStream(data)))
            .withCloseable { it.readUTF(); it.readObject() }
        def version = server =~ /"qupathVersion"\s*:\s*"v?0\.(\d+)/
        boolean old = server.startsWith('Image path: ') || version && version[0][1].toInteger() < 4
        return old ? "QuPath before 0.4, ${data.length()} bytes".toString() : null
    }

    /** What an entry's data file says, as image data that can be saved again. */
    static ImageData load(entry, File data, String fullId) {
        def server = server(entry.getServerBuilder())
        ImageData imageData = null
        // The entry's own readImageData() answers a damaged file with an empty image.
        if (data.exists())
            imageData = Files.newInputStream(data.toPath()).withCloseable {
                PathIO.readImageData(it, null, server, BufferedImage)
            }
        if (imageData == null) imageData = new ImageData(server)
        imageData.setProperty('PROJECT_ENTRY_ID', fullId)
        return imageData
    }

    /**
     * The image, or where its file is missing what the project says of it.
     *
     * Saving objects takes no pixels, only the builder, which goes into the file as it is, and the
     * size for the summary. Pixels asked for all the same raise UnsupportedOperationException.
     */
    private static ImageServer server(builder) {
        Exception reason = null
        try {
            def server = builder.build()
            if (server != null) return server
        } catch (Exception e) {
            reason = e
        }
        def found = builder.hasProperty('metadata') ? builder.getMetadata() : null
        def known = found instanceof Optional ? found.orElse(null) : found
        if (known == null) throw new IOException('the image cannot be opened', reason)
        return [
            getBuilder: { builder }, getPath: { builder.getURIs().join(' ') }, getMetadata: { known },
            getWidth: { known.getWidth() }, getHeight: { known.getHeight() }, isRGB: { known.isRGB() },
            nChannels: { known.getSizeC() }, nZSlices: { known.getSizeZ() },
            nTimepoints: { known.getSizeT() }, close: { },
        ] as ImageServer
    }

    /** Remember a write in the data themselves. */
    static void mark(ImageData imageData, String mark) {
        def before = imageData.getProperty(MARKS) ?: ''
        imageData.setProperty(MARKS, [mark, *before.tokenize()].take(N_MARKS).join(' '))
    }

    /** Change the objects by id, and fire the one event that QuPath's caches wait for. */
    static Map change(ImageData imageData, File data, File folder, List<String> removed) {
        PathObjectHierarchy hierarchy = imageData.getHierarchy()
        def built = new Builder(folder).build()
        def ids = removed.collect { UUID.fromString(it) }
        def report = new Upsert(hierarchy.getRootObject(), seed(data)).apply(built, ids)
        hierarchy.fireHierarchyChangedEvent(hierarchy)
        return report
    }

    /** Data file and summary as QuPath writes them, at places of our choice. */
    static Map save(ImageData imageData, File data, File summary) {
        Files.newOutputStream(data.toPath()).withCloseable { PathIO.writeImageData(it, imageData) }
        def type = Class.forName('qupath.lib.projects.DefaultProject$ImageDataSummary')
        def maker = type.getDeclaredConstructor(ImageData, long)
        maker.setAccessible(true)
        def written = maker.newInstance(imageData, data.lastModified())
        summary.setText(GsonTools.getInstance().toJson(written), 'UTF-8')
        return [id_sum: Walk.idSum(Walk.below(imageData.getHierarchy().getRootObject()))]
    }
}
