// Runs scripts as QuPath does, with QuPath's classes, one after the other:
//     java -cp 'QUPATH/lib/app/*' groovy.ui.GroovyMain run_scripts.groovy
// Each line of stdin is {"project", "how", "script", "before"}; the answer ends with a line "== 0"
// or "== 1". HOW is "once", as from the script editor with no image open; "each", as
// "QuPath script --save", once for each image that can be opened; or "open", with the first image
// open in the window, after "before", a closure of Groovy, had its way with it.

import groovy.json.JsonSlurper
import groovy.transform.Field
import java.awt.image.BufferedImage
import org.codehaus.groovy.runtime.InvokerHelper
import qupath.lib.projects.ProjectIO

// Registers readers of images, as QuPath does when it starts.
Class.forName('qupath.lib.images.servers.ImageServers')
org.slf4j.LoggerFactory.getLogger('ROOT').setLevel(ch.qos.logback.classic.Level.ERROR)

// Compiling a script takes longer than running it: each text is compiled once for QuPath as it is
// without a window, and once with one.
class Place {
    GroovyClassLoader loader
    Class qp
    Map<String, Class> compiled = [:]

    Place(ClassLoader parent, String... texts) {
        loader = new GroovyClassLoader(parent)
        // The part of QP that scripts here may use; QuPath's own needs all of QuPath.
        qp = loader.parseClass('''
package qupath.lib.scripting
class QP {
    static project, image
    static getProject() { project }
    static getCurrentImageData() { image }
}''')
        texts.each { loader.parseClass(it) }
    }

    def run(File script) {
        def found = compiled.computeIfAbsent(script.text) { loader.parseClass(it, script.name) }
        InvokerHelper.runScript(found, null)
    }
}

@Field PLAIN = new Place(this.class.classLoader)
@Field WINDOW = new Place(this.class.classLoader, '''
package qupath.lib.gui
class QuPathGUI {
    static instance
    static getInstance() { instance }
}
class Window { List allViewers; List getAllViewers() { allViewers } }
class Viewer { def imageData }''')

void run(Map words) {
    def project = ProjectIO.loadProject(new File(words.project), BufferedImage)
    def script = new File(words.script)
    def place = words.how == 'open' ? WINDOW : PLAIN
    place.qp.project = project
    place.qp.image = null
    if (words.how == 'each') {
        for (entry in project.getImageList()) {
            place.qp.image = entry.readImageData()
            place.run(script)
            entry.saveImageData(place.qp.image)
        }
        return
    }
    if (words.how == 'open') {
        def classes = ['Viewer', 'QuPathGUI', 'Window'].collectEntries {
            [it, place.loader.loadClass("qupath.lib.gui.$it")]
        }
        place.qp.image = project.getImageList()[0].readImageData()
        if (words.before) evaluate(words.before).call(place.qp.image)
        def viewer = classes.Viewer.newInstance(imageData: place.qp.image)
        classes.QuPathGUI.instance = classes.Window.newInstance(allViewers: [viewer])
    }
    place.run(script)
}

System.in.eachLine('UTF-8') { line ->
    int rc = 0
    try { run(new JsonSlurper().parseText(line)) }
    catch (Throwable error) { println error; rc = 1 }
    println "== $rc"
    System.out.flush()
}
