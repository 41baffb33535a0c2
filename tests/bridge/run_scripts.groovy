// Runs scripts as QuPath does, with QuPath's classes, one after the other:
//     java -cp 'QUPATH/lib/app/*' groovy.ui.GroovyMain run_scripts.groovy
// Each line of stdin is {"project", "how", "script", "before"}; the answer ends with a line "== 0"
// or "== 1". HOW is "once", as from the script editor with no image open; "each", as
// "QuPath script --save", once for each image that can be opened; or "open", with the first image
// open in the window, after "before", a closure of Groovy, had its way with it.

import groovy.json.JsonSlurper
import java.awt.image.BufferedImage
import qupath.lib.projects.ProjectIO

// Registers readers of images, as QuPath does when it starts.
Class.forName('qupath.lib.images.servers.ImageServers')
org.slf4j.LoggerFactory.getLogger('ROOT').setLevel(ch.qos.logback.classic.Level.ERROR)

void run(Map words) {
    def project = ProjectIO.loadProject(new File(words.project), BufferedImage)
    def loader = new GroovyClassLoader(this.class.classLoader)
    // The part of qupath.lib.scripting.QP that scripts here may use; QuPath's own needs all of QuPath.
    def qp = loader.parseClass('''
package qupath.lib.scripting
class QP {
    static project, image
    static getProject() { project }
    static getCurrentImageData() { image }
}''')
    qp.project = project
    def script = { new GroovyShell(loader, new Binding()).evaluate(new File(words.script)) }
    if (words.how == 'each') {
        for (entry in project.getImageList()) {
            qp.image = entry.readImageData()
            script()
            entry.saveImageData(qp.image)
        }
        return
    }
    if (words.how == 'open') {
        def window = loader.parseClass('''
package qupath.lib.gui
class QuPathGUI {
    static instance
    static getInstance() { instance }
}
class Window { List allViewers; List getAllViewers() { allViewers } }
class Viewer { def imageData }''')
        qp.image = project.getImageList()[0].readImageData()
        if (words.before) evaluate(words.before).call(qp.image)
        def viewer = loader.loadClass('qupath.lib.gui.Viewer').newInstance(imageData: qp.image)
        window = loader.loadClass('qupath.lib.gui.QuPathGUI')
        window.instance = loader.loadClass('qupath.lib.gui.Window').newInstance(allViewers: [viewer])
    }
    script()
}

System.in.eachLine('UTF-8') { line ->
    int rc = 0
    try { run(new JsonSlurper().parseText(line)) }
    catch (Throwable error) { println error; rc = 1 }
    println "== $rc"
    System.out.flush()
}
