package import SkerryNode

/// Blobs by content hash on this box's disk: its own ones, pinned, and a cache with a limit of what other boxes have.
package final class BlobCache: Sendable {
    package let directory: String

    /// - Parameter bytesMax: of everything that is not pinned.
    package init(directory: String, bytesMax: Int, metrics: NodeMetrics) { self.directory = directory }
}
