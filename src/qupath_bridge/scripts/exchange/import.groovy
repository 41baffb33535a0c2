// Takes what napari-histo wrote for the images of the project: objects are added or replaced by
// their id, or removed. What was changed in QuPath since the export is left as it is and named;
// napari-histo lists it as a conflict. Run twice, it changes nothing. Ends with an export.

import com.google.gson.JsonObject
import com.google.gson.JsonParser
import qupath.lib.roi.ROIs

/** What napari-histo wrote for one image. */
class Pending {
    static final String SOURCE = 'napari-histo.source'
    final Map<UUID, PathObject> objects = new LinkedHashMap<>()
    final Map<UUID, UUID> parents = [:]
    final Map<String, Map<UUID, String>> writes = new LinkedHashMap<>() // mark: id: print at the export
    final Set<String> refused = [] // marks of writes of which something was not taken before

    Pending(File file, Exchange exchange, entry) {
        file.withReader('UTF-8') { lines ->
            def head = JsonParser.parseString(lines.readLine() + ']}').getAsJsonObject()
                .getAsJsonObject('napari-histo')
            if (head.get('image').getAsString() != entry.getID()
                    || head.get('project').getAsLong() != exchange.project.getCreationTimestamp())
                throw new IOException("${file.name} was made for another image or project")
            for (item in head.getAsJsonArray('writes')) addWrite(item.getAsJsonObject())
            String source = head.get('source').isJsonNull() ? null : head.get('source').getAsString()
            String line, last = null
            while ((line = lines.readLine()) != null) {
                if (line.startsWith('{')) add(line.endsWith(',') ? line[0..-2] : line, source)
                last = line
            }
            if (last != ']}') throw new IOException("${file.name} is cut short; sync again in napari-histo")
        }
    }

    private void addWrite(JsonObject item) {
        def mark = item.get('mark').getAsString(), prints = item.getAsJsonArray('prints')
        def found = new LinkedHashMap<UUID, String>()
        item.getAsJsonArray('ids').eachWithIndex { id, i ->
            def print = prints.get(i)
            found[UUID.fromString(id.getAsString())] = print.isJsonNull() ? null : print.getAsString()
        }
        writes[mark] = found
        if (item.get('refused').getAsBoolean()) refused << mark
    }

    private void add(String line, String source) {
        def feature = JsonParser.parseString(line).getAsJsonObject()
        // Detections complain of metadata in 0.4 and 0.5, so it is given to them afterwards.
        def metadata = feature.getAsJsonObject('properties').remove('metadata') ?: new JsonObject()
        def parent = metadata.remove(Feature.PARENT)
        PathObject object = GsonTools.getInstance().fromJson(feature, PathObject)
        def roi = object.getROI()
        if (object.isAnnotation() && roi instanceof PolygonROI && roi.getGeometry().isRectangle())
            object.setROI(ROIs.createRectangleROI(roi.getBoundsX(), roi.getBoundsY(),
                roi.getBoundsWidth(), roi.getBoundsHeight(), roi.getImagePlane()))
        if (source && !metadata.has(SOURCE)) metadata.addProperty(SOURCE, source)
        for (item in metadata.entrySet()) {
            def value = item.getValue().getAsString()
            if (item.getKey() != SOURCE || value) Hidden.note(object, item.getKey(), value)
        }
        objects[object.getID()] = object
        if (parent != null) parents[object.getID()] = UUID.fromString(parent.getAsString())
    }
}

/** Brings an image to what is pending. Works below the hierarchy, one bulk call a parent. */
class Upsert {
    final PathObject root
    final Pending pending
    final Map<UUID, PathObject> old = new HashMap<>(), fresh = new LinkedHashMap<>()
    final Set<PathObject> leaving = Collections.newSetFromMap(new IdentityHashMap<>())
    final List<UUID> conflicts = []
    final List<String> taken = []
    int nAdded, nChanged, nRemoved

    Upsert(PathObject root, Pending pending, List<String> marks) {
        this.root = root
        this.pending = pending
        def found = new Found(root)
        for (object in found.objects) {
            if (object.getID() != found.ids[object]) object.setID(found.ids[object])
            old[object.getID()] = object
        }
        pending.writes.findAll { mark, items -> !(mark in marks) }.each { mark, items ->
            int before = conflicts.size()
            items.each { id, print -> decide(id, print, found) }
            if (conflicts.size() == before && !(mark in pending.refused)) taken << mark
        }
    }

    boolean isNothing() { fresh.isEmpty() && leaving.isEmpty() }

    private void decide(UUID id, String print, Found found) {
        def present = old[id], wanted = pending.objects[id]
        def now = present == null ? null : Feature.print(present, id, found.parentOf(present))
        def then = wanted == null ? null : Feature.print(wanted, id, parentId(id))
        if (now == then) return
        if (now != print || present instanceof TMACoreObject) { conflicts << id; return }
        if (wanted != null) fresh[id] = wanted
        if (present != null) leaving << present
        if (wanted == null) nRemoved++
        else if (present == null) nAdded++
        else nChanged++
    }

    private UUID parentId(UUID id) {
        def parent = pending.parents[id]
        return old.containsKey(parent) || pending.objects.containsKey(parent) ? parent : null
    }

    void apply() {
        rehome()
        def groups = new IdentityHashMap<PathObject, List<PathObject>>()
        fresh.each { id, object ->
            def parent = pending.parents[id], named = fresh[parent] ?: old[parent]
            if (named == null || named in leaving) named = root
            groups.computeIfAbsent(named, { [] }) << object
        }
        groups.each { parent, children -> parent.addChildObjects(children) }
        int n = new Found(root).objects.size()
        if (n != old.size() + nAdded - nRemoved)
            throw new IllegalStateException("its objects are each other's parents; nothing was saved")
    }

    /** Children that stay follow the replacement of their parent, else go to who stays above. */
    private void rehome() {
        def homes = new IdentityHashMap<PathObject, List<PathObject>>()
        def above = new IdentityHashMap<PathObject, List<PathObject>>()
        for (object in leaving) {
            above.computeIfAbsent(object.getParent(), { [] }) << object
            def staying = object.getChildObjectsAsArray().findAll { !(it in leaving) }
            if (!staying) continue
            homes.computeIfAbsent(home(object), { [] }).addAll(staying)
            object.removeChildObjects(staying)
        }
        above.each { parent, children -> parent.removeChildObjects(children) }
        homes.each { parent, children -> parent.addChildObjects(children) }
    }

    private PathObject home(PathObject object) {
        while (object in leaving) {
            def replacement = fresh[object.getID()]
            if (replacement != null) return replacement
            object = object.getParent()
        }
        return object
    }
}

/** Carry out what is pending for one image, and save it. */
Upsert take(Exchange exchange, entry) {
    def live = exchange.open[entry.getID()]
    def content = live == null ? Content.of(exchange.dataOf(entry)) : Content.of(live)
    def pending = new Pending(exchange.pending(entry), exchange, entry), marks = content.marks.tokenize()
    def work = new Upsert(content.hierarchy.getRootObject(), pending, marks)
    if (work.isNothing()) return work
    def image = live ?: entry.readImageData()
    if (image == null) throw new IOException('its image file cannot be opened, so nothing can be saved')
    try {
        if (live == null) { // what was read first was checked; QuPath's own reading hides damage
            if (new Found(image.getHierarchy().getRootObject()).objects.size() != work.old.size())
                throw new IOException('QuPath does not read all of its objects')
            work = new Upsert(image.getHierarchy().getRootObject(), pending, marks)
        }
        keepCopy(exchange, entry)
        work.apply()
        image.getHierarchy().fireHierarchyChangedEvent(image.getHierarchy())
        image.setProperty(Content.MARKS, [*work.taken.reverse(), *marks].take(20).join(' '))
        entry.saveImageData(image)
    } finally { if (live == null) image.getServer().close() }
    return work
}

/** The image's data as they were before the last import, beside the exchanged files. */
void keepCopy(Exchange exchange, entry) {
    def data = exchange.dataOf(entry), copy = new File(exchange.folder, "before/${entry.getID()}.qpdata")
    if (!data.exists()) return
    copy.getParentFile().mkdirs()
    Files.copy(data.toPath(), copy.toPath(), StandardCopyOption.REPLACE_EXISTING)
}

/** Classes that the project lacks, to choose from in QuPath. */
void addClasses(Project project, Collection<PathObject> objects) {
    def known = project.getPathClasses()
    def missing = objects*.getPathClass().findAll { it != null && !(it in known) }.unique()
    if (missing) project.setPathClasses([*known, *missing])
}

def exchange = new Exchange(binding.hasVariable('args') && args ? args[0] : FOLDER)
def done = [], conflicts = 0
exchange.eachImage { entry ->
    if (exchange.pending(entry).exists()) {
        def work = take(exchange, entry)
        done << work
        conflicts += work.conflicts.size()
        work.conflicts.take(20).each { println "  changed here since the export, left as it is: $it" }
        addClasses(exchange.project, work.fresh.values())
    }
    exchange.export(entry)
}
exchange.writeManifest()
if (done.any { !it.isNothing() }) exchange.project.syncChanges()
def counts = ['nAdded', 'nChanged', 'nRemoved'].collect { name -> done*."$name".sum() ?: 0 }
def images = done.count { !it.isNothing() }
def left = "$conflicts were changed here too and are left as they are: sync in napari-histo to decide."
exchange.say("${counts[0]} objects added, ${counts[1]} changed, ${counts[2]} removed in $images images." +
    (conflicts ? " $left" : ''))
