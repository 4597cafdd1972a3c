import Blobs
import Crypto
import Replication
import SkerryModel
import SkerryNode
import TestKit
import Testing

#if canImport(Glibc)
import Glibc
#endif

@Suite("Blob cache")
struct BlobCacheTests {
    private let directory = TemporaryDirectory()
    private let metrics = NodeMetrics()

    private func cache(_ bytesMax: Int = 1 << 20) -> BlobCache {
        BlobCache(directory: "\(self.directory.path)/blobs", bytesMax: bytesMax, metrics: self.metrics)
    }

    private static func bytes(_ count: Int, _ seed: UInt8) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) ^ seed } }
    private static func hash(_ bytes: [UInt8]) -> BlobHash { BlobHash(SHA256.hash(data: bytes)) }

    /// Fetches a blob piece by piece.
    @discardableResult
    private func fetch(_ bytes: [UInt8], into cache: BlobCache, as hash: BlobHash? = nil) throws -> Bool {
        let hash = hash ?? Self.hash(bytes)
        var offset = try cache.partial(hash)
        while offset < bytes.count {
            let piece = Array(bytes[offset..<min(offset + BlobMessage.pieceBytes, bytes.count)])
            try cache.append(piece, to: hash, at: offset, of: bytes.count)
            offset += piece.count
        }
        return try cache.complete(hash)
    }

    private func names(_ folder: String) -> [String] { TestFile.names(in: "\(self.directory.path)/blobs/\(folder)", suffix: "").filter { !$0.hasPrefix(".") } }

    @Test("a fetched blob is found whole under its hash, for its owner alone, and again after a restart")
    func fetching() throws {
        let bytes = Self.bytes(150_000, 1)
        let hash = Self.hash(bytes)
        let cache = self.cache()
        #expect(try cache.find(hash) == nil)
        #expect(try self.fetch(bytes, into: cache))
        let found = try #require(try cache.find(hash))
        #expect(found.byteCount == bytes.count && TestFile.bytes(found.path) == bytes)
        #expect(found.path.hasSuffix("/cache/\(hash.hex)"))
        #expect(self.names("part").isEmpty)
        let again = self.cache()
        #expect(try again.find(hash)?.path == found.path)
        #expect(try again.read(hash, from: 0, byteCount: 100) == Array(bytes.prefix(100)))
        #expect(try again.read(hash, from: 149_990, byteCount: 100) == Array(bytes.suffix(10)))
        #expect(try again.read(hash, from: 150_000, byteCount: 100) == [])
        #expect(try again.read(Self.hash([1]), from: 0, byteCount: 1) == nil)
    }

    @Test("content that is not what the hash says is thrown away")
    func wrongContent() throws {
        let cache = self.cache()
        let hash = Self.hash(Self.bytes(1_000, 1))
        #expect(try !self.fetch(Self.bytes(1_000, 2), into: cache, as: hash))
        #expect(try cache.find(hash) == nil && cache.partial(hash) == 0)
        #expect(self.names("part").isEmpty && self.names("cache").isEmpty)
    }

    @Test("a fetch goes on over a restart where the disk had got to")
    func resuming() throws {
        let bytes = Self.bytes(150_000, 3)
        let hash = Self.hash(bytes)
        try self.cache().append(Array(bytes.prefix(BlobMessage.pieceBytes)), to: hash, at: 0, of: bytes.count)
        let again = self.cache()
        #expect(try again.partial(hash) == BlobMessage.pieceBytes)
        #expect(throws: SkerryError.self) { try again.append([1], to: hash, at: 5, of: bytes.count) }
        #expect(try self.fetch(bytes, into: again))
        #expect(try again.find(hash) != nil)
    }

    @Test("what was used longest ago goes first, after a restart too, and the limit holds with what is being fetched")
    func eviction() throws {
        let blobs = (0..<4).map { Self.bytes(30_000, UInt8(10 + $0)) }
        let hashes = blobs.map { Self.hash($0) }
        let cache = self.cache(100_000)
        for blob in blobs.prefix(3) { #expect(try self.fetch(blob, into: cache)) }
        _ = try cache.find(hashes[0])
        #expect(try self.fetch(blobs[3], into: cache))
        #expect(try cache.find(hashes[1]) == nil)
        for index in [0, 2, 3] { #expect(try cache.find(hashes[index]) != nil, "\(index)") }
        #expect(self.metrics.value(.blobsEvicted) == 1)
        #expect(self.names("cache").count == 3)
        #expect(try cache.usage().cached == 90_000)
        // A smaller limit at the next start.
        let small = self.cache(60_000)
        #expect(try small.usage().cached == 60_000)
        #expect(self.names("cache").count == 2)
    }

    @Test("a blob larger than the whole limit is refused with what to do, and nothing of it stays")
    func tooLargeForCache() throws {
        let cache = self.cache(50_000)
        let old = Self.bytes(20_000, 1)
        #expect(try self.fetch(old, into: cache))
        let error = #expect(throws: SkerryError.self) { try self.fetch(Self.bytes(50_001, 2), into: cache) }
        #expect(error?.code == .quotaExceeded)
        #expect(error?.detail.contains("federation.blob_cache_bytes") == true)
        #expect(self.names("part").isEmpty)
        #expect(try cache.find(Self.hash(old)) != nil)
    }

    @Test("two fetches at a time keep room for both, and the one that does not fit beside the other is refused")
    func twoFetches() throws {
        let cache = self.cache(100_000)
        let (one, two) = (Self.bytes(70_000, 1), Self.bytes(40_000, 2))
        try cache.append(Array(one.prefix(1_000)), to: Self.hash(one), at: 0, of: one.count)
        #expect(throws: SkerryError.self) { try self.fetch(two, into: cache) }
        #expect(try self.fetch(one, into: cache))
        #expect(try self.fetch(two, into: cache))
        #expect(try cache.find(Self.hash(one)) == nil, "it made room")
    }

    @Test("the box's own blobs are pinned: they count for no limit and never go; unpinned they do, and pinned ones of others stay")
    func pinning() throws {
        let cache = self.cache(50_000)
        let own = Self.bytes(80_000, 1)
        let hash = try cache.put(own)
        #expect(hash == Self.hash(own))
        #expect(TestFile.bytes(try #require(try cache.find(hash)).path) == own)
        let other = Self.bytes(30_000, 2)
        #expect(try self.fetch(other, into: cache))
        #expect(try cache.pin(Self.hash(other), true))
        for seed in 3..<8 { #expect(try self.fetch(Self.bytes(40_000, UInt8(seed)), into: cache)) }
        #expect(try cache.find(hash) != nil && cache.find(Self.hash(other)) != nil)
        #expect(try cache.usage().pinned == 110_000)
        let again = self.cache(50_000)
        #expect(try again.find(hash)?.byteCount == 80_000)
        #expect(try again.pin(Self.hash(other), false))
        #expect(try again.find(Self.hash(other)) != nil || again.find(Self.hash(Self.bytes(40_000, 7))) != nil)
        #expect(try again.usage().cached <= 50_000)
        #expect(try !again.pin(Self.hash([9]), true))
        try again.remove(hash)
        #expect(try again.find(hash) == nil && !self.names("own").contains(hash.hex))
    }

    @Test("putting what is cached makes it the box's own, once, and putting it again changes nothing; a file is put without being in memory")
    func putting() throws {
        let cache = self.cache()
        let bytes = Self.bytes(200_000, 5)
        #expect(try self.fetch(bytes, into: cache))
        let path = "\(self.directory.path)/file"
        #expect(TestFile.write(bytes, to: path))
        #expect(try cache.put(file: path) == Self.hash(bytes))
        #expect(try cache.put(bytes) == Self.hash(bytes))
        #expect(self.names("own") == [Self.hash(bytes).hex] && self.names("cache").isEmpty && self.names("part").isEmpty)
        #expect(try cache.usage() == (0, 0, 200_000))
        #expect(throws: SkerryError.self) { try cache.put(file: "\(self.directory.path)/absent") }
        #expect(self.names("part").isEmpty)
    }

    @Test("what a crash left is swept at the next start: half puts, copies of what is pinned, fetches that are whole elsewhere, names that are none")
    func sweeping() throws {
        let bytes = Self.bytes(1_000, 1)
        let hash = Self.hash(bytes)
        _ = try self.cache().put(bytes)
        let folder = "\(self.directory.path)/blobs"
        for name in ["part/put-7", "part/\(hash.hex).part", "part/zzz.part", "cache/\(hash.hex)"] { #expect(TestFile.write(bytes, to: "\(folder)/\(name)")) }
        let good = Self.hash(Self.bytes(5, 5))
        #expect(TestFile.write([1, 2], to: "\(folder)/part/\(good.hex).part"))
        #expect(TestFile.write("note", to: "\(folder)/own/readme"))
        let again = self.cache()
        #expect(try again.find(hash)?.path.contains("/own/") == true)
        #expect(self.names("part") == ["\(good.hex).part"] && self.names("cache").isEmpty)
        #expect(try again.partial(good) == 2)
        #expect(self.names("own").contains("readme"), "what is not a blob is left alone")
    }

    @Test("no more fetches are kept than may, the oldest goes")
    func parts() throws {
        let cache = self.cache(1 << 20)
        for index in 0...BlobCache.partsMax {
            let bytes = Self.bytes(100, UInt8(index))
            try cache.append(Array(bytes.prefix(10)), to: Self.hash(bytes), at: 0, of: 100)
        }
        #expect(self.names("part").count == BlobCache.partsMax)
        #expect(try cache.usage().fetching == 100 * BlobCache.partsMax)
    }

    @Test("a blob that somebody deleted is not claimed to be here for ever")
    func deleted() throws {
        let cache = self.cache()
        let bytes = Self.bytes(1_000, 1)
        #expect(try self.fetch(bytes, into: cache))
        let found = try #require(try cache.find(Self.hash(bytes)))
        #expect(TestFile.remove(found.path))
        #expect(try cache.read(Self.hash(bytes), from: 0, byteCount: 10) == nil)
        #expect(try cache.find(Self.hash(bytes)) == nil)
    }

    @Test("a full disk: old files make room, and what does not fit even then is refused and leaves nothing", .enabled(if: SmallDisk.isAllowed))
    func fullDisk() throws {
        let disk = try #require(SmallDisk(at: self.directory.path, bytes: 512 * 1024))
        defer { disk.remove() }
        let cache = self.cache(1 << 30)
        let old = Self.bytes(200_000, 1)
        #expect(try self.fetch(old, into: cache))
        #expect(try self.fetch(Self.bytes(250_000, 2), into: cache))
        #expect(try self.fetch(Self.bytes(210_000, 3), into: cache))
        #expect(try cache.find(Self.hash(old)) == nil)
        let error = #expect(throws: SkerryError.self) { try self.fetch(Self.bytes(600_000, 4), into: cache) }
        #expect(error?.code == .storageLow)
        #expect(throws: SkerryError.self) { try cache.put(Self.bytes(600_000, 5)) }
        #expect(self.names("part").isEmpty && self.names("own").isEmpty)
        #expect(try self.fetch(Self.bytes(100_000, 6), into: cache))
    }

    @Test(
        "hexadecimal names are read strictly",
        arguments: ["", "ab", String(repeating: "g", count: 64), String(repeating: "A", count: 64), String(repeating: "a", count: 63)])
    func names(text: String) {
        #expect(BlobHash(hex: text) == nil)
    }
}

/// A file system of its own with little room, where the machine allows making one.
private final class SmallDisk {
    private let path: String

    static var isAllowed: Bool { geteuid() == 0 && SmallDisk(at: "/tmp", bytes: 4096, isTrial: true) != nil }

    init?(at path: String, bytes: Int, isTrial: Bool = false) {
        let directory = isTrial ? TemporaryDirectory() : nil
        self.path = directory?.path ?? path
        guard mount("tmpfs", self.path, "tmpfs", 0, "size=\(bytes)") == 0 else { return nil }
        if isTrial { self.remove() }
    }

    func remove() { umount2(self.path, Int32(MNT_DETACH)) }
    deinit { self.remove() }
}
