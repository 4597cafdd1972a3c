package import Replication
package import SkerryModel
package import SkerryNode

/// Blobs across boxes: fetched by content hash from a box that has it, on first read (FEDERATION.md §2.2, media).
package final class BlobChannel: FederationFeature {
    private let shelf: any BlobShelf

    package init(shelf: any BlobShelf, metrics: NodeMetrics) { self.shelf = shelf }

    package var channels: Set<LinkChannel> { [.blob] }
    package var requests: Set<RequestKind> { [.blob] }
    package func start(_ links: any FederationLinks) {}
    package func linkUp(_ box: BoxID) {}
    package func linkDown(_ box: BoxID) {}
    package func received(_ message: LinkMessage, from box: BoxID) {}
    package func answer(_ kind: RequestKind, _ body: [UInt8], from box: BoxID) async -> [UInt8]? { nil }
    package func tick(now monotonic: UInt64) {}

    /// Where the blob is on this box's disk, fetched from another one first if need be.
    package func read(_ hash: BlobHash) async throws(SkerryError) -> String { throw SkerryError(.notFound, "No box that can be reached has this file.") }
    package func put(_ bytes: [UInt8]) async throws(SkerryError) -> BlobHash { try self.shelf.put(bytes) }
    package func put(file path: String) async throws(SkerryError) -> BlobHash { try self.shelf.put(file: path) }
}
