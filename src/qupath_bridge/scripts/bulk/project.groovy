// SPDX-License-Identifier: GPL-3.0-or-later
//
// Images into a project, as QuPath's own import does it.

import groovy.transform.CompileDynamic
import java.awt.RenderingHints
import java.awt.image.BufferedImage
import qupath.lib.images.ImageData
import qupath.lib.images.servers.ImageServer
import qupath.lib.images.servers.ImageServerProvider
import qupath.lib.images.servers.ImageServers
import qupath.lib.images.servers.ServerTools
import qupath.lib.io.GsonTools
import qupath.lib.projects.Project
import qupath.lib.projects.ProjectIO
import qupath.lib.projects.Projects

@CompileDynamic
class Images {
    /** Beyond this side QuPath makes levels for an image that has none; its own default. */
    static final int LARGEST_WITHOUT_LEVELS = 4096
    /** A picture for the list fits into this. */
    static final int PICTURE_WIDTH = 1000, PICTURE_HEIGHT = 600

    /** Python tells which reader is missing. */
    static final String UNREAD = 'no reader of this QuPath opens it'

    /** All images of a file, each as an entry of its own; the project is made where there is none. */
    static Map add(File file, File image, String type) {
        // Java's own form of it: for a network share Python would name a host, which File refuses.
        String uri = image.toURI().toString()
        def support = ImageServerProvider.getPreferredUriImageSupport(BufferedImage, uri)
        if (support == null || support.getBuilders().isEmpty())
            throw new IOException(UNREAD)
        List<ImageServer> servers = []
        try {
            for (builder in support.getBuilders()) servers.add(opened(builder))
            for (server in servers) check(server, type)
            // Only now, for opening may take long and others may change the project meanwhile.
            Project project = file.exists() ? ProjectIO.loadProject(file, BufferedImage)
                : Projects.createProject(file.getParentFile(), BufferedImage)
            if (isThere(project, servers)) return [state: 'there', images: '[]']
            def added = servers.collect { entry(project, it, type) }
            project.syncChanges()
            return [state: 'added', images: GsonTools.getInstance().toJson(added)]
        } finally {
            servers.each { it.close() }
        }
    }

    private static ImageServer opened(builder) {
        ImageServer server = null
        try {
            server = builder.build()
        } catch (Exception ignored) {
            // Its message names Java classes and the file, which the user knows.
        }
        if (server == null)
            throw new IOException(UNREAD)
        boolean isLarge = Math.max(server.getWidth(), server.getHeight()) > LARGEST_WITHOUT_LEVELS
        return server.nResolutions() == 1 && isLarge ? ImageServers.pyramidalize(server) : server
    }

    private static void check(ImageServer server, String type) {
        if (type in ['BRIGHTFIELD_H_E', 'BRIGHTFIELD_H_DAB'] && !server.isRGB())
            throw new IllegalArgumentException(
                "its pixels are ${server.getPixelType()} in ${server.nChannels()} channels, " +
                'and stains are told apart in 8-bit RGB alone')
        int side = 64
        double downsample = Math.max(1d, Math.max(server.getWidth(), server.getHeight()) / side)
        // A file that is cut short opens, and fails only when its pixels are asked for.
        def request = qupath.lib.regions.RegionRequest.createInstance(server, downsample)
        if (server.readRegion(request) == null) throw new IOException('it gives no pixels')
    }

    /** By the file alone: what the user set, as the pixel size, makes another server of it. */
    private static boolean isThere(Project project, List<ImageServer> servers) {
        def uris = servers[0].getURIs() as Set
        return project.getImageList().count { it.getURIs() as Set == uris } >= servers.size()
    }

    private static Map entry(Project project, ImageServer server, String type) {
        def names = project.getImageList()*.getImageName() as Set
        def entry = project.addImage(server.getBuilder())
        try {
            entry.setImageName(unique(ServerTools.getDisplayableImageName(server), server, names))
            BufferedImage picture = thumbnail(server)
            if (picture != null) entry.setThumbnail(picture)
            if (type) entry.saveImageData(new ImageData(server, ImageData.ImageType.valueOf(type)))
        } catch (Throwable error) {
            project.removeImage(entry, false)
            entry.getEntryPath().toFile().deleteDir()
            throw error
        }
        def size = server.getPixelCalibration()
        return [id: entry.getID(), name: entry.getImageName(), width: server.getWidth(),
                height: server.getHeight(), levels: server.nResolutions(),
                pixel_um: size.hasPixelSizeMicrons() ? size.getAveragedPixelSizeMicrons() : null]
    }

    /** A picture for QuPath's list; null where channels need its display, which makes it later. */
    private static BufferedImage thumbnail(ImageServer server) {
        if (!server.isRGB()) return null
        BufferedImage whole = server.getDefaultThumbnail(server.nZSlices().intdiv(2), 0)
        double scale = Math.min(PICTURE_WIDTH / whole.getWidth(), PICTURE_HEIGHT / whole.getHeight())
        if (scale >= 1) return whole
        int width = Math.max(1, (int) (whole.getWidth() * scale))
        int height = Math.max(1, (int) (whole.getHeight() * scale))
        def small = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB)
        def pen = small.createGraphics()
        pen.setRenderingHint(RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BILINEAR)
        pen.drawImage(whole, 0, 0, width, height, null)
        pen.dispose()
        return small
    }

    /** Files of the same name lie in other folders. */
    private static String unique(String name, ImageServer server, Set names) {
        if (!(name in names)) return name
        def folder = server.getURIs().collect { new File(it.path ?: '').parentFile?.name }.find()
        def named = folder ? "$name ($folder)".toString() : name
        int n = 2
        while (named in names) named = "$name (${n++})".toString()
        return named
    }
}
