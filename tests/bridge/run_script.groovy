// Runs a script as QuPath does, with QuPath's classes: java -cp 'QUPATH/lib/app/*'
//     groovy.ui.GroovyMain run_script.groovy PROJECT HOW SCRIPT [ARGUMENT ...]
// HOW is "once", as from the script editor with no image open; "each", as "QuPath script --save",
// once for each image that can be opened; or "open", with the first image open in the window.

import java.awt.image.BufferedImage
import qupath.lib.projects.ProjectIO

def (project, how, script) = args[0..2]
// Registers readers of images, as QuPath does when it starts.
Class.forName("qupath.lib.images.servers.ImageServers")
def opened = ProjectIO.loadProject(new File(project), BufferedImage)
def loader = new GroovyClassLoader(this.class.classLoader)
// The part of qupath.lib.scripting.QP that scripts here may use; QuPath's own needs all of QuPath.
def qp = loader.parseClass('''
package qupath.lib.scripting
class QP {
    static project, image
    static getProject() { project }
    static getCurrentImageData() { image }
}''')
def gui = how != 'open' ? null : loader.parseClass('''
package qupath.lib.gui
class QuPathGUI {
    static QuPathGUI instance
    List allViewers
    static QuPathGUI getInstance() { instance }
}''')
qp.project = opened
def run = { new GroovyShell(loader, new Binding(args: args.drop(3) as String[])).evaluate(new File(script)) }
if (how == 'once') run()
else if (how == 'open') {
    qp.image = opened.getImageList()[0].readImageData()
    // What a user drew since the last save.
    if (System.getenv('UNSAVED')) evaluate(System.getenv('UNSAVED')).call(qp.image)
    gui.instance = gui.getConstructor().newInstance(allViewers: [[getImageData: { qp.image }] as Expando])
    run()
}
else for (entry in opened.getImageList()) {
    try { qp.image = entry.readImageData() }
    catch (IOException error) { println "cannot open ${entry.imageName}"; continue }
    run()
    entry.saveImageData(qp.image)
}
