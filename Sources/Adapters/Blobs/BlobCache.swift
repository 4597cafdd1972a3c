import Crypto
package import Replication
package import SkerryModel
package import SkerryNode
import Synchronization

/// Blobs by content hash on this box's disk: its own ones, pinned, and a cache with a limit of what other boxes have.
///
/// `own/` holds what stays, `cache/` what may be forgotten, `part/` what is being fetched; a file has the hash as its name and is for its owner alone. A
/// name in `own/` or `cache/` is only ever given to a whole file by a rename, after its bytes are on the disk. What was used longest ago goes first.
///
/// One lock around all of it: its calls come from a thread that is there for the disk.
package final class BlobCache: BlobShelf {
    package let directory: String
    private let bytesMax: Int
    private let metrics: NodeMetrics
    private let state = Mutex(State())

    /// Fetches that were not finished: at the bound the oldest makes room. One that nobody went on with for a week is swept.
    package static let partsMax = 64
    package static let partSecondsMax = 7 * 86_400
    /// Blobs of the cache; beyond, the one that was used longest ago goes.
    package static let cachedMax = 50_000
    /// A use is written down when the last one is so long ago.
    private static let touchSeconds = 3_600

    private struct Entry {
        var byteCount: Int
        var isPinned: Bool
        /// By which it is found in `uses`.
        var use: UInt64
        var touchedSeconds: Int
    }

    private struct Part {
        var byteCount: Int
        /// What room is kept for it.
        var total: Int
        var seconds: Int
    }

    private struct State {
        var isLoaded = false
        var entries: [BlobHash: Entry] = [:]
        var parts: [BlobHash: Part] = [:]
        /// Cached ones that may go, by use.
        var uses: [UInt64: BlobHash] = [:]
        var nextUse: UInt64 = 1
        /// The use before which nothing is left.
        var firstUse: UInt64 = 1
        var cachedBytes = 0
        var partBytes = 0
        var temporary = 0
    }

    /// - Parameter bytesMax: of everything that is not pinned.
    package init(directory: String, bytesMax: Int, metrics: NodeMetrics) {
        self.directory = directory
        self.bytesMax = bytesMax
        self.metrics = metrics
    }

    /// Bytes of what may be forgotten, and of what is being fetched, with the room that is kept for it.
    package func usage() throws(SkerryError) -> (cached: Int, fetching: Int, pinned: Int) {
        try self.locked { state in
            (state.cachedBytes, state.partBytes, state.entries.values.reduce(0) { $0 + ($1.isPinned ? $1.byteCount : 0) })
        }
    }

    // MARK: - Reading

    package func find(_ hash: BlobHash) throws(SkerryError) -> (path: String, byteCount: Int)? {
        try self.locked { state in
            guard let entry = try self.used(hash, &state) else { return nil }
            return (self.path(of: hash, isPinned: entry.isPinned), entry.byteCount)
        }
    }

    package func read(_ hash: BlobHash, from offset: Int, byteCount: Int) throws(SkerryError) -> [UInt8]? {
        let path: String? = try self.locked { state in try self.used(hash, &state).map { self.path(of: hash, isPinned: $0.isPinned) } }
        guard let path else { return nil }
        do {
            return try BlobFile(reading: path).read(from: offset, byteCount: min(byteCount, BlobFile.blockBytes))
        } catch {
            guard error.isAbsent else { throw error.refusal }
            // Forgotten between the two, or somebody took it away.
            try self.locked { state in self.drop(hash, &state) }
            return nil
        }
    }

    /// Notes that it is used; nil: it is not here.
    private func used(_ hash: BlobHash, _ state: inout State) throws(FileTrouble) -> Entry? {
        guard var entry = state.entries[hash] else { return nil }
        let now = BlobFolder.nowSeconds
        if now >= entry.touchedSeconds + Self.touchSeconds || now < entry.touchedSeconds {
            do {
                try BlobFile(reading: self.path(of: hash, isPinned: entry.isPinned)).touch()
                entry.touchedSeconds = now
            } catch {
                guard error.isAbsent else { throw error }
                // Somebody took it away.
                self.drop(hash, &state)
                return nil
            }
        }
        if !entry.isPinned {
            state.uses[entry.use] = nil
            entry.use = Self.nextUse(hash, &state)
        }
        state.entries[hash] = entry
        return entry
    }

    // MARK: - Fetching

    package func partial(_ hash: BlobHash) throws(SkerryError) -> Int {
        try self.locked { state in state.parts[hash]?.byteCount ?? 0 }
    }

    package func append(_ bytes: [UInt8], to hash: BlobHash, at offset: Int, of total: Int) throws(SkerryError) {
        try self.locked { state in
            let part = state.parts[hash]
            guard offset == part?.byteCount ?? 0, offset + bytes.count <= total else {
                throw SkerryError(.conflict, "A piece of a file does not follow the one before.")
            }
            try self.reserve(total, for: hash, &state)
            while true {
                do throws(FileTrouble) {
                    try BlobFile(writing: self.partPath(hash)).write(bytes, at: offset)
                    break
                } catch {
                    // Whatever can be forgotten is forgotten before anybody is refused.
                    if error.isFull, self.evictOne(&state) { continue }
                    self.removePart(hash, &state)
                    throw error.refusal
                }
            }
            state.parts[hash]?.byteCount = offset + bytes.count
            state.parts[hash]?.seconds = BlobFolder.nowSeconds
        }
    }

    /// Keeps room for so many bytes, at the cost of what was used longest ago.
    private func reserve(_ total: Int, for hash: BlobHash, _ state: inout State) throws {
        let known = state.parts[hash]
        if known?.total == total { return }
        let others = state.partBytes - (known?.total ?? 0)
        guard total <= self.bytesMax - others else {
            self.removePart(hash, &state)
            throw SkerryError(
                .quotaExceeded,
                "The file does not fit into the space for files of other boxes; raise federation.blob_cache_bytes, or wait until others are fetched.")
        }
        while state.cachedBytes + others + total > self.bytesMax, self.evictOne(&state) {}
        if known == nil, state.parts.count >= Self.partsMax, let oldest = state.parts.min(by: { $0.value.seconds < $1.value.seconds }) {
            self.removePart(oldest.key, &state)
        }
        state.partBytes += total - (known?.total ?? 0)
        state.parts[hash] = Part(byteCount: known?.byteCount ?? 0, total: total, seconds: BlobFolder.nowSeconds)
    }

    package func complete(_ hash: BlobHash) throws(SkerryError) -> Bool {
        try self.locked { state in
            guard let part = state.parts[hash] else { return false }
            let path = self.partPath(hash)
            do {
                let file = try BlobFile(reading: path)
                let byteCount = try file.byteCount()
                guard byteCount == part.total, try file.hash() == hash else {
                    self.removePart(hash, &state)
                    return false
                }
                try file.sync()
                try BlobFolder.move(path, to: self.path(of: hash, isPinned: false))
            } catch {
                self.removePart(hash, &state)
                throw error
            }
            BlobFolder.sync("\(self.directory)/cache")
            state.parts[hash] = nil
            state.partBytes -= part.total
            self.enter(hash, byteCount: part.total, isPinned: false, seconds: BlobFolder.nowSeconds, &state)
            while state.entries.count - self.pinnedCount(state) > Self.cachedMax, self.evictOne(&state) {}
            return true
        }
    }

    private func pinnedCount(_ state: State) -> Int { state.entries.count - state.uses.count }

    package func discard(_ hash: BlobHash) {
        try? self.locked { state in self.removePart(hash, &state) }
    }

    // MARK: - Own ones

    package func put(_ bytes: [UInt8]) throws(SkerryError) -> BlobHash {
        try self.locked { state in
            var rest = bytes[...]
            return try self.put(&state) {
                let block = Array(rest.prefix(BlobFile.blockBytes))
                rest = rest.dropFirst(block.count)
                return block
            }
        }
    }

    package func put(file path: String) throws(SkerryError) -> BlobHash {
        try self.locked { state in
            let file = try BlobFile(reading: path)
            var offset = 0
            return try self.put(&state) {
                let block = try file.read(from: offset, byteCount: BlobFile.blockBytes)
                offset += block.count
                return block
            }
        }
    }

    private func put(_ state: inout State, _ next: () throws -> [UInt8]) throws -> BlobHash {
        state.temporary += 1
        let temporary = "\(self.directory)/part/put-\(state.temporary)"
        var hash = SHA256()
        var byteCount = 0
        do {
            let file = try BlobFile(making: temporary)
            while true {
                let block = try next()
                if block.isEmpty { break }
                hash.update(data: block)
                try self.write(block, at: byteCount, file, &state)
                byteCount += block.count
            }
            try file.sync()
            let name = BlobHash(hash.finalize())
            try BlobFolder.move(temporary, to: self.path(of: name, isPinned: true))
            BlobFolder.sync("\(self.directory)/own")
            // It is the box's own now; a copy in the cache would be a second one.
            if let entry = state.entries[name], !entry.isPinned { BlobFolder.remove(self.path(of: name, isPinned: false)) }
            self.drop(name, &state)
            self.removePart(name, &state)
            self.enter(name, byteCount: byteCount, isPinned: true, seconds: BlobFolder.nowSeconds, &state)
            return name
        } catch {
            BlobFolder.remove(temporary)
            throw error
        }
    }

    private func write(_ block: [UInt8], at offset: Int, _ file: borrowing BlobFile, _ state: inout State) throws {
        while true {
            do {
                return try file.write(block, at: offset)
            } catch {
                guard error.isFull, self.evictOne(&state) else { throw error }
            }
        }
    }

    /// Keeps a blob that is here for good, or lets it be forgotten when there is need. False: it is not here.
    package func pin(_ hash: BlobHash, _ isPinned: Bool) throws(SkerryError) -> Bool {
        try self.locked { state in
            guard let entry = state.entries[hash] else { return false }
            if entry.isPinned == isPinned { return true }
            try BlobFolder.move(self.path(of: hash, isPinned: entry.isPinned), to: self.path(of: hash, isPinned: isPinned))
            self.drop(hash, &state)
            self.enter(hash, byteCount: entry.byteCount, isPinned: isPinned, seconds: entry.touchedSeconds, &state)
            while state.cachedBytes + state.partBytes > self.bytesMax, self.evictOne(&state) {}
            return true
        }
    }

    /// Takes a blob away, pinned or not.
    package func remove(_ hash: BlobHash) throws(SkerryError) {
        try self.locked { state in
            guard let entry = state.entries[hash] else { return }
            BlobFolder.remove(self.path(of: hash, isPinned: entry.isPinned))
            self.drop(hash, &state)
        }
    }

    // MARK: - Bookkeeping

    private func path(of hash: BlobHash, isPinned: Bool) -> String { "\(self.directory)/\(isPinned ? "own" : "cache")/\(hash.hex)" }
    private func partPath(_ hash: BlobHash) -> String { "\(self.directory)/part/\(hash.hex).part" }

    private static func nextUse(_ hash: BlobHash, _ state: inout State) -> UInt64 {
        defer { state.nextUse += 1 }
        state.uses[state.nextUse] = hash
        return state.nextUse
    }

    private func enter(_ hash: BlobHash, byteCount: Int, isPinned: Bool, seconds: Int, _ state: inout State) {
        var entry = Entry(byteCount: byteCount, isPinned: isPinned, use: 0, touchedSeconds: seconds)
        if !isPinned {
            entry.use = Self.nextUse(hash, &state)
            state.cachedBytes += byteCount
        }
        state.entries[hash] = entry
    }

    private func drop(_ hash: BlobHash, _ state: inout State) {
        guard let entry = state.entries.removeValue(forKey: hash), !entry.isPinned else { return }
        state.uses[entry.use] = nil
        state.cachedBytes -= entry.byteCount
    }

    /// False: nothing is left that may go.
    private func evictOne(_ state: inout State) -> Bool {
        while state.firstUse < state.nextUse {
            if let hash = state.uses[state.firstUse] {
                BlobFolder.remove(self.path(of: hash, isPinned: false))
                self.drop(hash, &state)
                self.metrics.add(.blobsEvicted)
                return true
            }
            state.firstUse += 1
        }
        return false
    }

    private func removePart(_ hash: BlobHash, _ state: inout State) {
        guard let part = state.parts.removeValue(forKey: hash) else { return }
        state.partBytes -= part.total
        BlobFolder.remove(self.partPath(hash))
    }

    private func locked<Value: Sendable>(_ body: (inout State) throws -> Value) throws(SkerryError) -> Value {
        do {
            return try self.state.withLock { state in
                try self.load(&state)
                return try body(&state)
            }
        } catch {
            throw (error as? SkerryError) ?? (error as? FileTrouble)?.refusal ?? SkerryError(.unavailable, "The box's disk could not be read.")
        }
    }

    /// Finds out what is there, at the first call.
    private func load(_ state: inout State) throws(FileTrouble) {
        if state.isLoaded { return }
        for folder in ["", "/own", "/cache", "/part"] { try BlobFolder.make(self.directory + folder) }
        for name in BlobFolder.names(in: "\(self.directory)/own") {
            guard let hash = BlobHash(hex: name) else { continue }
            let file = try BlobFile(reading: self.path(of: hash, isPinned: true))
            self.enter(hash, byteCount: try file.byteCount(), isPinned: true, seconds: file.usedSeconds(), &state)
        }
        try self.loadCached(&state)
        try self.loadParts(&state)
        while state.cachedBytes + state.partBytes > self.bytesMax, self.evictOne(&state) {}
        state.isLoaded = true
    }

    private func loadCached(_ state: inout State) throws(FileTrouble) {
        var found: [(hash: BlobHash, byteCount: Int, seconds: Int)] = []
        for name in BlobFolder.names(in: "\(self.directory)/cache") {
            guard let hash = BlobHash(hex: name) else { continue }
            if state.entries[hash] != nil {
                // Made the box's own, and the power went before this copy did.
                BlobFolder.remove(self.path(of: hash, isPinned: false))
                continue
            }
            let file = try BlobFile(reading: self.path(of: hash, isPinned: false))
            found.append((hash, try file.byteCount(), file.usedSeconds()))
        }
        found.sort { $0.seconds == $1.seconds ? $0.hash.bytes.lexicographicallyPrecedes($1.hash.bytes) : $0.seconds < $1.seconds }
        for blob in found { self.enter(blob.hash, byteCount: blob.byteCount, isPinned: false, seconds: blob.seconds, &state) }
    }

    private func loadParts(_ state: inout State) throws(FileTrouble) {
        let now = BlobFolder.nowSeconds
        for name in BlobFolder.names(in: "\(self.directory)/part") {
            let path = "\(self.directory)/part/\(name)"
            guard name.hasSuffix(".part"), let hash = BlobHash(hex: name.dropLast(5)), state.entries[hash] == nil, state.parts.count < Self.partsMax else {
                BlobFolder.remove(path)
                continue
            }
            let file = try BlobFile(reading: path)
            let (byteCount, seconds) = (try file.byteCount(), file.usedSeconds())
            guard byteCount > 0, byteCount <= self.bytesMax - state.partBytes, seconds + Self.partSecondsMax > now else {
                BlobFolder.remove(path)
                continue
            }
            // How long it will be is known when it goes on.
            state.parts[hash] = Part(byteCount: byteCount, total: byteCount, seconds: seconds)
            state.partBytes += byteCount
        }
    }
}
