package import Replication
package import SkerryModel

/// Where a box keeps blobs by content hash: its own ones, which stay, and a cache of what other boxes have (FEDERATION.md §2.2, media).
///
/// Every call may touch the disk; none belongs on an event loop.
package protocol BlobShelf: AnyObject, Sendable {
    /// Where the whole, verified blob is, and how long; nil: not here. Reading counts for what is forgotten last.
    func find(_ hash: BlobHash) throws(SkerryError) -> (path: String, byteCount: Int)?
    /// A piece of a blob that is here; fewer bytes at its end, none behind it. Nil: not here.
    func read(_ hash: BlobHash, from offset: Int, byteCount: Int) throws(SkerryError) -> [UInt8]?
    /// How much of a blob has been fetched so far; 0: nothing.
    func partial(_ hash: BlobHash) throws(SkerryError) -> Int
    /// Appends to what has been fetched, which must end at `offset`. Makes room first, and refuses what cannot fit.
    func append(_ bytes: [UInt8], to hash: BlobHash, at offset: Int, of total: Int) throws(SkerryError)
    /// All is fetched: false when its content is not what the hash says, and then nothing of it is kept.
    func complete(_ hash: BlobHash) throws(SkerryError) -> Bool
    /// Throws away what has been fetched of it.
    func discard(_ hash: BlobHash)
    /// Keeps a blob of this box: pinned, until `unpin`.
    func put(_ bytes: [UInt8]) throws(SkerryError) -> BlobHash
    func put(file path: String) throws(SkerryError) -> BlobHash
}
