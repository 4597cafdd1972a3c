
/// What other boxes keep of media, by content hash, on this box's disk.
package struct BlobCache: Sendable {
    package let directory: String

    package init(directory: String) { self.directory = directory }
}
