/// The hash of one level: a folded multiplication over eight bytes at a time, with the process's own secret.
///
/// It need not be unforgeable: levels with equal hashes are told apart by their bytes, and the secret keeps a client from preparing many of
/// them. For levels as short as these it takes a fraction of `Hasher`'s time.
struct LevelHash: Sendable {
    private let secret: UInt64

    init() {
        // `Hasher` is seeded afresh in every process.
        var hasher = Hasher()
        hasher.combine("topic level")
        self.secret = UInt64(bitPattern: Int64(hasher.finalize())) | 1
    }

    func callAsFunction(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var (hash, word, count) = (self.secret, UInt64(0), UInt64(0))
        for byte in bytes {
            word = word << 8 | UInt64(byte)
            count += 1
            if count & 7 == 0 {
                hash = self.folded(hash ^ word)
                word = 0
            }
        }
        return self.folded(hash ^ word ^ count << 56)
    }

    private func folded(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: self.secret ^ 0x9E37_79B9_7F4A_7C15)
        return product.high ^ product.low
    }
}

/// The levels of one topic with their hashes, over the topic's own bytes; valid only while those are lent.
struct HashedLevels {
    struct Level {
        var start: Int
        var end: Int
        var hash: UInt64
    }

    private let bytes: UnsafeBufferPointer<UInt8>
    private let levels: [Level]

    /// Cuts at every `/`, in one pass; `scratch` gives its storage and takes it back in `takeBack`.
    init(_ bytes: UnsafeBufferPointer<UInt8>, _ hash: LevelHash, scratch: inout [Level]) {
        var levels: [Level] = []
        swap(&levels, &scratch)
        levels.removeAll(keepingCapacity: true)
        var start = 0
        for (place, byte) in bytes.enumerated() where byte == UInt8(ascii: "/") {
            levels.append(Level(start: start, end: place, hash: hash(bytes[start..<place])))
            start = place + 1
        }
        levels.append(Level(start: start, end: bytes.count, hash: hash(bytes[start...])))
        self.bytes = bytes
        self.levels = levels
    }

    consuming func takeBack() -> [Level] { self.levels }

    var count: Int { self.levels.count }
    func hash(at depth: Int) -> UInt64 { self.levels[depth].hash }

    func isEqual(at depth: Int, _ text: String) -> Bool {
        let level = self.levels[depth]
        return text.utf8.elementsEqual(self.bytes[level.start..<level.end])
    }
}
