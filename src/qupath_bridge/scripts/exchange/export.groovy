// Writes the objects of every image of the project to a folder, for napari-histo.
// Run twice, it changes nothing. Images that cannot be read are named; the others are done.

def exchange = new Exchange(binding.hasVariable('args') && args ? args[0] : FOLDER)
exchange.eachImage { entry -> exchange.export(entry) }
exchange.writeManifest()
def counts = exchange.counts.values()
exchange.say("${counts.sum() ?: 0} objects of ${counts.size()} images are in ${exchange.folder}.")
