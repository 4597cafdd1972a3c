import Crypto
package import SkerryModel

/// `Batch` ⇄ bytes (FEDERATION.md §2.3): `1:ver 2:fed(10B) 3:stream 4:origin(10B) 5:epoch(fix64) 6:firstSeq 7:entry… 10:hash… 8:flags 9:sig`.
///
/// Entries (7) and hashes of dropped ones (10) stand in the order of their sequences, mixed. The origin signs the batch; whoever forwards it later
/// does so with the origin's signature, and gives the hash of what it no longer has.
package enum BatchCodec {
    package static let version: UInt64 = 1
    /// A longer signature is refused; Ed25519 has 64 bytes.
    package static let signatureBytesMax = 64
    /// Sequences beyond are refused: no log ever gets there, stores have 40 bits for them, and sums cannot overflow.
    package static let sequenceMax: UInt64 = (1 << 40) - 1

    /// A batch as it came, with what it says of its federation.
    package struct Received: Sendable, Hashable {
        package var federation: FederationID
        package var batch: Batch

        package init(federation: FederationID, batch: Batch) {
            self.federation = federation
            self.batch = batch
        }
    }

    package static func encode(_ batch: Batch, of federation: FederationID) -> [UInt8] {
        var writer = FieldWriter(reserving: Self.size(of: batch))
        Self.writeHead(batch, federation, to: &writer)
        for item in batch.items {
            switch item {
            case .entry(let bytes): writer.bytes(7, bytes)
            case .dropped(let hash): writer.bytes(10, hash)
            }
        }
        writer.flag(8, batch.wantsFlush)
        writer.bytes(9, batch.signature)
        return writer.bytes
    }

    /// What the origin signs: `"fed-batch-1"`, fields 1 to 6, and the SHA-256 of every entry.
    package static func signedBytes(_ batch: Batch, of federation: FederationID) -> [UInt8] {
        var writer = FieldWriter(reserving: 64)
        Self.writeHead(batch, federation, to: &writer)
        var bytes = Array("fed-batch-1".utf8)
        bytes.reserveCapacity(80 + batch.items.count * 32)
        bytes.append(contentsOf: writer.bytes)
        for item in batch.items {
            switch item {
            case .entry(let entry): bytes.append(contentsOf: Self.hash(entry))
            case .dropped(let hash): bytes.append(contentsOf: hash)
            }
        }
        return bytes
    }

    /// The SHA-256 that stands for an entry that is no longer held.
    package static func hash(_ entry: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: entry)) }

    package static func decode(_ bytes: some Collection<UInt8>) throws(EntryDecodeError) -> Received {
        guard bytes.count <= Batch.bytesMax else { throw EntryDecodeError(.tooLarge, at: UInt64(bytes.count)) }
        var head = Head()
        var items: [BatchItem] = []
        var reader = FieldReader(Array(bytes)[...])
        while let (field, value) = try reader.next() {
            if let item = try Self.item(field, value) {
                guard items.count < Batch.entriesMax else { throw EntryDecodeError(.tooLarge, at: field) }
                items.append(item)
            } else {
                try head.take(field, value)
            }
        }
        guard !items.isEmpty else { throw EntryDecodeError(.missingField, at: 7) }
        return try head.received(items)
    }

    /// Bytes that the encoded batch has at most.
    package static func size(of batch: Batch) -> Int {
        var size = Self.headBytesMax
        for item in batch.items {
            switch item {
            case .entry(let bytes): size += bytes.count + 4
            case .dropped(let hash): size += hash.count + 4
            }
        }
        return size
    }

    /// Everything but the items: fields 1 to 6, flags and signature.
    private static let headBytesMax = 128

    /// Cuts consecutive items into batches that keep the limits; an entry alone always fits.
    package static func split(_ log: LogEpoch, firstSeq: UInt64, _ items: [BatchItem], wantsFlush: Bool) -> [Batch] {
        var result: [Batch] = []
        var batch = Batch(log: log, firstSeq: firstSeq, items: [], wantsFlush: wantsFlush)
        var size = Self.headBytesMax
        for item in items {
            let cost =
                switch item {
                case .entry(let bytes): bytes.count + 4
                case .dropped(let hash): hash.count + 4
                }
            if !batch.items.isEmpty, batch.items.count == Batch.entriesMax || size + cost > Batch.bytesMax {
                let next = batch.lastSeq + 1
                result.append(batch)
                batch = Batch(log: log, firstSeq: next, items: [], wantsFlush: wantsFlush)
                size = Self.headBytesMax
            }
            batch.items.append(item)
            size += cost
        }
        if !batch.items.isEmpty { result.append(batch) }
        return result
    }

    private static func writeHead(_ batch: Batch, _ federation: FederationID, to writer: inout FieldWriter) {
        writer.varint(1, Self.version)
        writer.bytes(2, federation.bytes)
        writer.varint(3, UInt64(batch.log.stream.rawValue))
        writer.bytes(4, batch.log.origin.bytes)
        writer.fixed64(5, batch.log.epoch)
        writer.varint(6, batch.firstSeq)
    }

    private static func item(_ field: UInt64, _ value: FieldReader.Value) throws(EntryDecodeError) -> BatchItem? {
        guard field == 7 || field == 10 else { return nil }
        guard case .bytes(let slice) = value else { throw EntryDecodeError(.badField, at: field) }
        if field == 7 {
            guard !slice.isEmpty else { throw EntryDecodeError(.badField, at: 7) }
            guard slice.count <= EntryCodec.entryBytesMax else { throw EntryDecodeError(.tooLarge, at: 7) }
            return .entry(Array(slice))
        }
        guard slice.count == 32 else { throw EntryDecodeError(.badField, at: 10) }
        return .dropped(hash: Array(slice))
    }

    /// The fields of a batch other than its items, as they come.
    private struct Head {
        var version: UInt64?
        var federation: FederationID?
        var stream: Stream?
        var origin: BoxID?
        var epoch: UInt64?
        var firstSeq: UInt64?
        var flags: UInt64 = 0
        var signature: [UInt8] = []

        mutating func take(_ field: UInt64, _ value: FieldReader.Value) throws(EntryDecodeError) {
            switch (field, value) {
            case (1, .number(let number)): self.version = number
            case (2, .bytes(let slice)): self.federation = try Self.exactly(FederationID.byteCount, slice, field) { FederationID($0) }
            case (3, .number(let number)):
                guard let stream = UInt8(exactly: number).flatMap({ Stream(rawValue: $0) }) else { throw EntryDecodeError(.badField, at: field) }
                self.stream = stream
            case (4, .bytes(let slice)): self.origin = try Self.exactly(BoxID.byteCount, slice, field) { BoxID($0) }
            case (5, .number(let number)): self.epoch = number
            case (6, .number(let number)): self.firstSeq = number
            case (8, .number(let number)): self.flags = number
            case (9, .bytes(let slice)):
                guard slice.count <= BatchCodec.signatureBytesMax else { throw EntryDecodeError(.tooLarge, at: field) }
                self.signature = Array(slice)
            case (1...9, _): throw EntryDecodeError(.badField, at: field)
            default: break
            }
        }

        private static func exactly<Value>(
            _ count: Int, _ slice: ArraySlice<UInt8>, _ field: UInt64, _ make: (ArraySlice<UInt8>) -> Value?
        ) throws(EntryDecodeError) -> Value {
            guard slice.count == count, let value = make(slice) else { throw EntryDecodeError(.badField, at: field) }
            return value
        }

        func received(_ items: [BatchItem]) throws(EntryDecodeError) -> Received {
            guard let version = self.version else { throw EntryDecodeError(.missingField, at: 1) }
            guard version == BatchCodec.version else { throw EntryDecodeError(.badField, at: 1) }
            guard let federation = self.federation else { throw EntryDecodeError(.missingField, at: 2) }
            guard let stream = self.stream else { throw EntryDecodeError(.missingField, at: 3) }
            guard let origin = self.origin else { throw EntryDecodeError(.missingField, at: 4) }
            guard let epoch = self.epoch else { throw EntryDecodeError(.missingField, at: 5) }
            guard let firstSeq = self.firstSeq else { throw EntryDecodeError(.missingField, at: 6) }
            guard firstSeq >= 1, firstSeq <= BatchCodec.sequenceMax, UInt64(items.count) <= BatchCodec.sequenceMax - firstSeq + 1 else {
                throw EntryDecodeError(.badField, at: 6)
            }
            let log = LogEpoch(origin: origin, stream: stream, epoch: epoch)
            return Received(
                federation: federation,
                batch: Batch(log: log, firstSeq: firstSeq, items: items, signature: self.signature, wantsFlush: self.flags & 1 == 1))
        }
    }
}
