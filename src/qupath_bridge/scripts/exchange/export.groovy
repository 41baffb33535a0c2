// Writes the objects of every image of the project to a folder, for napari-histo.
// Run twice, it changes nothing. Images that cannot be read are named; the others are done.

def exchange = new Exchange(binding.hasVariable('args') && args ? args[0] : FOLDER)
exchange.eachImage { entry -> exchange.export(entry) }
exchange.writeManifest()
exchange.say("${exchange.counts.values().sum() ?: 0} objects of ${exchange.counts.size()} images are in ${exchange.folder}.")
