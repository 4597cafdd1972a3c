import Replication
import SkerryModel

/// What the simulation knows of an entry, from outside all boxes.
final class TrueEntry {
    enum Kind {
        case message(id: Int)
        case row(key: Int)
        /// A row of a type that old versions do not know.
        case newRow(key: Int)
        case receipt(client: Int, value: UInt64)
        case member(BoxID, EngineMember)
    }

    let log: TrueLog
    let seq: UInt64
    let bytes: [UInt8]
    let order: Order
    let kind: Kind
    /// Box instances that have it on their disk as far as they ever said, and those that ever had.
    var holders: UInt64 = 0
    var everHeld: UInt64 = 0
    /// A client was told that it is stored; that others hold it.
    var isAcknowledged = false
    var isReplicated = false
    /// At some moment nobody held it: it may be gone.
    var wasLost = false
    /// Retention or compaction has dropped it somewhere, as they may.
    var isDropped = false

    init(log: TrueLog, seq: UInt64, bytes: [UInt8], order: Order, kind: Kind) {
        self.log = log
        self.seq = seq
        self.bytes = bytes
        self.order = order
        self.kind = kind
    }

    func held(by instance: Int) {
        self.holders |= 1 << UInt64(instance)
        self.everHeld |= 1 << UInt64(instance)
    }

    /// `dead`: the instances that will not be seen again.
    func lost(by instance: Int, dead: UInt64) {
        self.holders &= ~(1 << UInt64(instance))
        self.checkLost(dead: dead)
    }

    func checkLost(dead: UInt64) { if self.holders & ~dead == 0 { self.wasLost = true } }

    /// What stands for it in a batch when it is gone.
    lazy var hash: [UInt8] = BatchCodec.hash(self.bytes)

    /// The entry as the rules of retention see one that is like it.
    var retentionSubject: RetentionSubject {
        let position = LogPosition(log: self.log.id, seq: self.seq)
        let body: EntryBody?
        switch self.kind {
        case .row(let key): body = .block(owner: UserID(Self.number(key)), target: UserID(Self.number(0)), isOn: true)
        case .receipt(let client, _):
            body = .receipt(conversation: ConversationID(Self.number(0)), user: UserID(Self.number(client)), received: nil, read: nil)
        case .message, .newRow, .member: body = nil
        }
        let key = body.flatMap { RetentionKey(of: $0, in: self.log.id) }
        return RetentionSubject(position: position, hlc: self.order.hlc, pointsTo: self.pointsTo, key: key, isTombstone: false)
    }

    private var pointsTo: HLC? {
        guard case .receipt(_, let value) = self.kind else { return nil }
        return HLC(rawValue: value)
    }

    private static func number(_ number: Int) -> Bytes16 { Bytes16(high: 0x5eed, low: UInt64(number)) }

    var text: String { "\(self.log.text)#\(self.seq)" }
}

/// One epoch of one box, as it was really written.
final class TrueLog {
    let id: LogEpoch
    let index: Int
    /// The instance that writes it.
    let writer: Int
    let text: String
    var entries: [TrueEntry] = []
    /// Somebody has said that nothing will be added.
    var isFinal = false

    init(id: LogEpoch, index: Int, writer: Int, text: String) {
        self.id = id
        self.index = index
        self.writer = writer
        self.text = text
    }

    func entry(_ seq: UInt64) -> TrueEntry? { seq >= 1 && seq <= UInt64(self.entries.count) ? self.entries[Int(seq) - 1] : nil }
}

/// All that was ever written.
struct Truth {
    private(set) var logs: [TrueLog] = []
    private var indices: [LogEpoch: Int] = [:]

    func log(_ id: LogEpoch) -> TrueLog? { self.indices[id].map { self.logs[$0] } }

    mutating func open(_ id: LogEpoch, writer: Int, text: String) -> TrueLog {
        if let index = self.indices[id] { return self.logs[index] }
        let log = TrueLog(id: id, index: self.logs.count, writer: writer, text: text)
        self.indices[id] = log.index
        self.logs.append(log)
        return log
    }
}

/// Bytes of simulated entries: the wire form of every entry, with a body that only the simulation reads.
enum SimEntryCodec {
    static let messageType: UInt64 = 16
    static let receiptType: UInt64 = 20
    static let rowType: UInt64 = 7
    static let memberType: UInt64 = 8
    /// A type that no version of today knows.
    static let newRowType: UInt64 = 90

    /// `number` makes the bytes unlike any others; `padding` makes them longer.
    static func encode(_ kind: TrueEntry.Kind, hlc: HLC, number: UInt64, padding: Int) -> [UInt8] {
        var writer = FieldWriter(reserving: 64 + padding)
        var body = Self.mark(number)
        if padding > 0 { body.append(contentsOf: [UInt8](repeating: 0x2e, count: padding)) }
        switch kind {
        case .message(let id):
            writer.varint(1, Self.messageType)
            writer.fixed64(2, hlc.rawValue)
            writer.bytes(3, Bytes16(high: 0x5eed, low: UInt64(id)).bytes)
        case .receipt(let client, _):
            writer.varint(1, Self.receiptType)
            writer.fixed64(2, hlc.rawValue)
            writer.bytes(4, Self.key(UInt64(client), 2))
        case .row(let key):
            writer.varint(1, Self.rowType)
            writer.fixed64(2, hlc.rawValue)
            writer.bytes(4, Self.key(UInt64(key), 1))
        case .newRow(let key):
            writer.varint(1, Self.newRowType)
            writer.fixed64(2, hlc.rawValue)
            writer.bytes(4, Self.key(UInt64(key), 1))
        case .member(let box, _):
            writer.varint(1, Self.memberType)
            writer.fixed64(2, hlc.rawValue)
            writer.bytes(4, box.bytes)
        }
        writer.bytes(5, body)
        return writer.bytes
    }

    private static func key(_ number: UInt64, _ kind: UInt8) -> [UInt8] {
        var key: [UInt8] = [kind]
        key.appendBigEndian(number)
        return key
    }

    static let markStart: [UInt8] = Array("~sim".utf8)

    /// `~sim` and the number: what a hostile relay looks for to alter.
    private static func mark(_ number: UInt64) -> [UInt8] {
        var body = Self.markStart
        body.appendBigEndian(number)
        return body
    }
}

/// Signatures that cost next to nothing: a keyed hash. Only boxes of the simulation have keys, and none uses another's.
enum SimSignature {
    static func make(_ key: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
        var (one, other): (UInt64, UInt64) = (0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344)
        func mix(_ buffer: UnsafeRawBufferPointer) {
            var offset = 0
            while offset &+ 8 <= buffer.count {
                let word = buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                one = (one ^ word) &* 0x9e37_79b9_7f4a_7c15
                other = (other &+ one) ^ (one >> 29)
                offset &+= 8
            }
            while offset < buffer.count {
                one = (one ^ UInt64(buffer[offset])) &* 0x9e37_79b9_7f4a_7c15
                other = (other &+ one) ^ (one >> 31)
                offset &+= 1
            }
            one = (one ^ UInt64(buffer.count)) &* 0xbf58_476d_1ce4_e5b9
        }
        key.withUnsafeBytes(mix)
        bytes.withUnsafeBytes(mix)
        var result: [UInt8] = []
        for round in 0..<UInt64(8) {
            one = (one ^ (one >> 30) ^ other &+ round) &* 0x94d0_49bb_1331_11eb
            result.appendBigEndian(one)
        }
        return result
    }
}
