/// What boxes say about blobs: on `q` and `r` whether one is here and how long (`1:hash` and `1:byteCount`; an empty answer: not here), and on `b` the
/// pieces (`1:kind 2:hash 3:offset 4:count 5:byteCount 6:bytes`).
package enum BlobMessage: Sendable, Hashable {
    /// So many pieces from this offset on, in order.
    case want(BlobHash, offset: UInt64, pieces: UInt64)
    case piece(BlobHash, offset: UInt64, [UInt8])
    /// It is not here, or not any more.
    case absent(BlobHash)

    /// Bytes of a piece; only the last one of a blob is shorter.
    package static let pieceBytes = 64 * 1024
    /// Pieces that one box may want at a time.
    package static let window = 4

    package var hash: BlobHash {
        switch self {
        case .want(let hash, _, _), .piece(let hash, _, _), .absent(let hash): hash
        }
    }

    package var payload: [UInt8] {
        switch self {
        case .want(let hash, let offset, let pieces):
            var writer = FieldWriter(reserving: 64)
            writer.varint(1, 1)
            writer.bytes(2, hash.bytes)
            writer.varint(3, offset)
            writer.varint(4, pieces)
            return writer.bytes
        case .piece(let hash, let offset, let bytes):
            var writer = FieldWriter(reserving: bytes.count + 64)
            writer.varint(1, 2)
            writer.bytes(2, hash.bytes)
            writer.varint(3, offset)
            writer.bytes(6, bytes)
            return writer.bytes
        case .absent(let hash):
            var writer = FieldWriter(reserving: 48)
            writer.varint(1, 3)
            writer.bytes(2, hash.bytes)
            return writer.bytes
        }
    }

    package init(decoding payload: [UInt8]) throws(EntryDecodeError) {
        let fields = try FieldMap(payload[...])
        let hash = try Self.hash(fields, 2)
        switch try fields.required(1) {
        case 1:
            let pieces = try fields.required(4)
            guard pieces > 0, pieces <= UInt64(Self.window) else { throw EntryDecodeError(.badField, at: 4) }
            self = .want(hash, offset: try Self.offset(fields), pieces: pieces)
        case 2:
            let bytes = try fields.requiredBytes(6)
            guard !bytes.isEmpty, bytes.count <= Self.pieceBytes else { throw EntryDecodeError(.badField, at: 6) }
            self = .piece(hash, offset: try Self.offset(fields), bytes)
        case 3: self = .absent(hash)
        default: throw EntryDecodeError(.badField, at: 1)
        }
    }

    private static func hash(_ fields: FieldMap, _ field: UInt64) throws(EntryDecodeError) -> BlobHash {
        guard let slice = fields.slice(field) else { throw EntryDecodeError(.missingField, at: field) }
        guard let hash = BlobHash(slice) else { throw EntryDecodeError(.badField, at: field) }
        return hash
    }

    /// An offset that fits into an `Int`, as files have them.
    private static func offset(_ fields: FieldMap) throws(EntryDecodeError) -> UInt64 {
        let offset = try fields.required(3)
        guard offset <= UInt64(Int64.max >> 1) else { throw EntryDecodeError(.badField, at: 3) }
        return offset
    }

    // MARK: - Questions

    package static func question(_ hash: BlobHash) -> [UInt8] {
        var writer = FieldWriter(reserving: 40)
        writer.bytes(1, hash.bytes)
        return writer.bytes
    }

    package static func hash(ofQuestion body: [UInt8]) throws(EntryDecodeError) -> BlobHash { try Self.hash(try FieldMap(body[...]), 1) }

    package static func answer(_ byteCount: Int?) -> [UInt8] {
        guard let byteCount else { return [] }
        var writer = FieldWriter(reserving: 12)
        writer.varint(1, UInt64(byteCount))
        return writer.bytes
    }

    /// Nil: the box does not have it, or says something that nobody understands.
    package static func byteCount(ofAnswer body: [UInt8]) -> Int? {
        guard !body.isEmpty, let fields = try? FieldMap(body[...]) else { return nil }
        return fields.number(1).flatMap { Int(exactly: $0) }
    }
}
