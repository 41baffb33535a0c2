// -- the folder ----------------------------------------------------------------------------------

import java.nio.file.Files
import java.nio.file.StandardCopyOption
import qupath.lib.images.ImageData
import qupath.lib.io.GsonTools
import qupath.lib.projects.Project
import qupath.lib.projects.ProjectImageEntry
import qupath.lib.scripting.QP

/** The folder through which QuPath and napari exchange objects. */
class Exchange {
    static final String FORMAT = 'napari-histo exchange 1'
    final Project project
    final File folder
    final Map<String, ImageData> open = [:]
    final List<ProjectImageEntry> entries
    final boolean isBatch
    final Map<String, String> problems = [:]
    final Map<String, Integer> counts = [:]

    Exchange(String folder) {
        project = QP.getProject()
        if (project == null) throw new IllegalStateException('Open a project first.')
        def usual = new File(project.getPath().toFile().getParentFile(), 'exchange')
        this.folder = folder ? new File(folder) : usual
        def shown = viewers()*.getImageData().findAll()
        def current = QP.getCurrentImageData()
        for (image in [*shown, current].findAll()) {
            def entry = project.getEntry(image)
            if (entry != null) open[entry.getID()] = image
        }
        // "Run for project" and "QuPath script" come once for each image, with that image.
        def one = current != null && !shown.any { it.is(current) } ? project.getEntry(current) : null
        isBatch = one != null
        entries = isBatch ? [one] : project.getImageList()
        checkSameProject()
    }

    /** Viewers of QuPath's window; none where it has no window. */
    private static List viewers() {
        try {
            def window = Class.forName('qupath.lib.gui.QuPathGUI', true, Exchange.classLoader).getInstance()
            if (window == null) return []
            // getViewers() in 0.4
            boolean since05 = window.metaClass.respondsTo(window, 'getAllViewers')
            return (since05 ? window.getAllViewers() : window.getViewers()) as List
        } catch (ClassNotFoundException | LinkageError none) { return [] }
    }

    private void checkSameProject() {
        def before = manifest()
        if (before && before.project.created_ms as long != project.getCreationTimestamp())
            throw new IllegalStateException(
                "The folder $folder belongs to the project ${before.project.name}. Name another.")
    }

    private Map manifest() {
        def file = new File(folder, 'exchange.json')
        file.exists() ? GsonTools.getInstance().fromJson(file.getText('UTF-8'), Map) : null
    }

    File dataOf(entry) { new File(entry.getEntryPath().toFile(), 'data.qpdata') }
    File exported(entry) { new File(folder, "from-qupath/${entry.getID()}.geojson") }
    File pending(entry) { new File(folder, "to-qupath/${entry.getID()}.geojson") }

    /** Work on every image; what is wrong with one stops no other. */
    void eachImage(Closure work) {
        entries.eachWithIndex { entry, i ->
            println "${i + 1}/${entries.size()} ${entry.getImageName()}"
            try { work(entry) }
            catch (Exception | StackOverflowError error) {
                problems[entry.getID()] = error.message ?: error.toString()
                println "  not done: ${problems[entry.getID()]}"
            }
        }
    }

    void export(entry) {
        def live = open[entry.getID()]
        def content = live == null ? Content.of(dataOf(entry)) : Content.of(live)
        def found = new Found(content.hierarchy.getRootObject())
        counts[entry.getID()] = found.objects.size()
        def prints = new StringBuilder()
        for (object in found.objects)
            prints.append(Feature.print(object, found.ids[object], found.parentOf(object)))
        def head = [version: 1, project: project.getCreationTimestamp(), image: entry.getID(),
                    marks: content.marks.tokenize(), prints: prints.toString(), classes: classes()]
        write(exported(entry)) { out ->
            out << '{"type":"FeatureCollection","napari-histo":' << json(head) << ',"features":['
            found.objects.eachWithIndex { object, i ->
                out << (i ? ',\n' : '\n') << Feature.text(object, found.ids[object], found.parentOf(object))
            }
            out << '\n]}\n'
        }
    }

    /** Which images there are; last, when all that it names is there. */
    void writeManifest() {
        def before = (manifest()?.images ?: []).collectEntries { [it.id, it] }
        def images = project.getImageList().collect { entry ->
            def id = entry.getID(), done = entries.any { it.getID() == id }
            [id: id, name: entry.getImageName(), uri: uriOf(entry), *: sizeOf(entry),
             file: exported(entry).exists() ? "from-qupath/${id}.geojson".toString() : null,
             n_objects: counts[id] ?: before[id]?.n_objects as Integer ?: 0,
             problem: done ? problems[id] : before[id]?.problem]
        }
        def about = [name: project.getName(), uri: project.getURI()?.toString(),
                     created_ms: project.getCreationTimestamp()]
        def words = [format: FORMAT, project: about, classes: classes(), images: images]
        write(new File(folder, 'exchange.json')) { it << json(words) << '\n' }
    }

    private List classes() {
        project.getPathClasses().findAll { it?.toString() }.collect {
            def argb = it.getColor() ?: 0
            [name: it.toString(), color: [(argb >> 16) & 255, (argb >> 8) & 255, argb & 255]]
        }
    }

    private static String uriOf(entry) {
        try { return entry.getURIs()?.find()?.toString() } catch (Exception none) { return null }
    }

    /** As the project remembers it: the image itself is not opened. */
    private static Map sizeOf(entry) {
        def found = null
        try { found = entry.getServerBuilder().getMetadata() } catch (Exception none) { }
        found = found instanceof Optional ? found.orElse(null) : found
        def pixel = found?.getPixelCalibration()
        def um = pixel?.hasPixelSizeMicrons() ? pixel.getAveragedPixelSizeMicrons() : null
        [width: found?.getWidth(), height: found?.getHeight(), pixel_size_um: um]
    }

    static String json(Object value) {
        GsonTools.getInstance().newBuilder().serializeNulls().create().toJson(value)
    }

    /** A file whole or not at all; one that would be the same is left alone. */
    static void write(File file, Closure fill) {
        file.getParentFile().mkdirs()
        def work = new File(file.getParentFile(), ".${file.name}.part")
        try {
            work.withWriter('UTF-8') { fill(it) }
            if (!file.exists() || Files.mismatch(work.toPath(), file.toPath()) >= 0)
                Files.move(work.toPath(), file.toPath(), StandardCopyOption.ATOMIC_MOVE)
        } finally { work.delete() }
    }

    /** One message at the end, in the log and where there is a window. */
    void say(String text) {
        problems.eachWithIndex { id, why, i ->
            def name = project.getImageList().find { it.getID() == id }?.getImageName()
            text += (i ? '' : "\n${problems.size()} images were not done:") + "\n  $name: $why"
        }
        println text
        if (!isBatch && viewers()) try { show(text, problems ? 'WARNING' : 'INFORMATION') }
        catch (LinkageError | ReflectiveOperationException | IllegalStateException none) {
            // It is in the log.
        }
    }

    private static void show(String text, String kind) {
        Class.forName('javafx.application.Platform').runLater {
            def level = Class.forName('javafx.scene.control.Alert$AlertType').valueOf(kind)
            def kinds = Class.forName('javafx.scene.control.Alert').getConstructor(level.getClass())
            def alert = kinds.newInstance(level)
            alert.setHeaderText('napari-histo')
            alert.setContentText(text)
            alert.show()
        }
    }
}
