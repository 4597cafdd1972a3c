import NIOCore

/// The table of routes together with the documents that describe it, which are routes of it themselves.
struct Documents: Sendable {
    let routes: [Route]

    init(version: String, routes: [Route], box: BoxRoutes) {
        // The description needs no handler, so the rows of the documents can describe themselves before they exist.
        let described = routes + box.all(openAPI: { ByteBuffer() }, asyncAPI: { ByteBuffer() })
        self.routes =
            routes
            + box.all(
                openAPI: { OpenAPIDocument(version: version, routes: described).make() }, asyncAPI: { AsyncAPIDocument(version: version).make() })
    }
}
