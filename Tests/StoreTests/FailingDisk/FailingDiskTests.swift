import CSQLite
import NIOCore
import SkerryModel
import Store
import StoreSQLite
import TestKit
import Testing

/// The disk fails at every point of a short script, once each: whatever the point, what was acknowledged is there, and everything else is
/// there wholly or not at all.
@Suite("A failing disk", .serialized)
struct FailingDiskTests {
    struct Fault: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var operation: FailingDisk.Operation
        var code: Int32
        var isLasting: Bool
    }

    static let faults = [
        Fault(testDescription: "one write fails", operation: .write, code: SQLITE_IOERR | (3 << 8), isLasting: false),
        Fault(testDescription: "one write finds the disk full", operation: .write, code: SQLITE_FULL, isLasting: false),
        Fault(testDescription: "the disk is full from then on", operation: .any, code: SQLITE_FULL, isLasting: true),
        Fault(testDescription: "one sync fails", operation: .sync, code: SQLITE_IOERR | (4 << 8), isLasting: false),
        Fault(testDescription: "the disk is gone from then on", operation: .any, code: SQLITE_IOERR, isLasting: true),
    ]

    @Test("Nothing acknowledged is lost and nothing is there by half, wherever it fails", arguments: faults)
    func everyPoint(_ fault: Fault) async throws {
        FailingDisk.register()
        var number = 1
        while true {
            let directory = TemporaryDirectory()
            let place = SQLitePlace(directory: directory, vfs: FailingDisk.name, readers: 1)
            FailingDisk.arm(.init(operation: fault.operation, number: number, code: fault.code, isLasting: fault.isLasting))
            let outcome = await Self.run(place)
            let hasFailed = FailingDisk.disarm()
            try await Self.check(outcome, directory, "failure \(number)")
            guard hasFailed else { break }
            number += 1
            try #require(number < 2_000, "the script never ends")
        }
        // The script must reach the disk often enough for this to mean something.
        #expect(number > (fault.operation == .sync ? 8 : 40), "only \(number) operations")
    }

    /// Here and not beside the other implementations: while another test makes the disk fail, nobody else may use it.
    @Test("While it does not fail, the whole contract holds through the shim", arguments: StoreContract.claims)
    func contract(_ claim: StoreClaim) async throws {
        FailingDisk.register()
        try await claim.run(SQLitePlace(directory: TemporaryDirectory(), vfs: FailingDisk.name))
    }

    @Test("The errors say which it was: full, or failed")
    func reasons() async throws {
        FailingDisk.register()
        // SQLITE_IOERR_SHMSIZE: no room for the index of the write-ahead log.
        let index = SQLITE_IOERR | (19 << 8)
        for (code, reason) in [(SQLITE_FULL, StoreError.Reason.full), (SQLITE_IOERR, .failed), (index, .full)] {
            let directory = TemporaryDirectory()
            let store = try SQLitePlace(directory: directory, vfs: FailingDisk.name).open()
            defer { store.close() }
            FailingDisk.arm(.init(operation: .write, number: 1, code: code, isLasting: false))
            defer { FailingDisk.disarm() }
            do {
                try await store.commit { try $0.setMeta("x", [1]) }
                Issue.record("the write was expected to fail")
            } catch let error as StoreError {
                #expect(error.reason == reason)
            }
            #expect(try await store.read { try $0.meta("x") } == nil)
        }
    }

    // MARK: - The script

    static let transactions = 3

    /// Which transactions were acknowledged.
    private static func run(_ place: SQLitePlace) async -> [Int: Bool] {
        guard let store = try? place.open() else { return [:] }
        defer { store.close() }
        var outcome: [Int: Bool] = [:]
        for number in 1...Self.transactions {
            do {
                try await store.commit { try Self.write(number, $0) }
                outcome[number] = true
            } catch {
                outcome[number] = false
            }
        }
        return outcome
    }

    /// One transaction that touches every table whose rows belong together. It stands on its own: its epoch is its number.
    private static func write(_ number: Int, _ transaction: any StoreTransaction) throws {
        let epoch = try transaction.registerEpoch(Sample.log(epoch: UInt64(number)))
        for seq in UInt64(1)...2 {
            let position = LocalPosition(epoch: epoch.number, seq: seq)
            // More than a page, so that a transaction is several writes.
            try transaction.append([UInt8](repeating: UInt8(number), count: 6_000), at: position)
            try transaction.insert(
                MessageRow(
                    id: Sample.message(number * 10 + Int(seq)), conversation: Sample.conversation(1), order: Sample.order(number * 10 + Int(seq)),
                    sender: Sample.user(1), position: position, isChanged: false))
            try transaction.index(.conversation(Sample.conversation(1)), at: position)
        }
        // What came from another box: signed, with one place that is a hash, and who that box is.
        try transaction.append(dropped: [UInt8](repeating: 7, count: 32), at: LocalPosition(epoch: epoch.number, seq: 3))
        try transaction.put(BatchRecord(epoch: epoch.number, firstSeq: 1, count: 3, signature: [UInt8](repeating: UInt8(number), count: 64)))
        try transaction.put(
            MemberRecord(
                entry: MemberEntry(box: Sample.box(UInt8(number)), name: "b", publicKey: [1], logKey: [2], endpoints: [], version: 1),
                stamp: Sample.order(number)))
        try transaction.clearRetained(topic: "gone/\(number)", stamp: Sample.order(number))
        try transaction.put(Sample.userRecord(number))
        try transaction.putMessage(Int64(number), body: ByteBuffer(repeating: 1, count: 5_000), references: 2)
        for session: Int32 in 1...2 {
            try transaction.appendQueue(
                QueueEntry(session: session, seq: UInt64(number), flags: 1, byteSum: Int64(number) * 5_000, body: .shared(Int64(number))))
        }
        try transaction.putRetained(RetainedRecord(topic: "t/\(number)", body: ByteBuffer(string: "body"), expiresMilliseconds: 0))
    }

    /// Opens the file again on a disk that works.
    private static func check(_ outcome: [Int: Bool], _ directory: TemporaryDirectory, _ at: String) async throws {
        let store = try SQLitePlace(directory: directory, readers: 1).open()
        defer { store.close() }
        for number in 1...Self.transactions {
            let parts = try await store.read { reader -> [Bool] in
                let epoch = try reader.epochs().first { $0.log.epoch == UInt64(number) }
                let position = epoch.map { LocalPosition(epoch: $0.number, seq: 2) }
                return [
                    epoch?.head == 3, try epoch.map { try reader.batches(of: $0.number, covering: 3, limit: 1).count } == 1,
                    try epoch.map { try reader.items(of: $0.number, from: 3, through: 3, limit: 1, bytes: 99).count } == 1,
                    try reader.member(Sample.box(UInt8(number))) != nil, try reader.retainedStamp(topic: "gone/\(number)") != nil,
                    try position.flatMap { try reader.entry(at: $0) } != nil, try reader.message(Sample.message(number * 10 + 2)) != nil,
                    try reader.user(Sample.user(number)) != nil, try reader.retained(topic: "t/\(number)") != nil,
                    try reader.queueEntries(of: 2, after: UInt64(number) - 1, limit: 1, bytes: 1).first?.seq == UInt64(number),
                ]
            }
            #expect(Set(parts).count == 1, "\(at): transaction \(number) is there by half: \(parts)")
            if outcome[number] == true { #expect(parts.allSatisfy { $0 }, "\(at): transaction \(number) was acknowledged and is gone") }
        }
        #expect(try StoreCheck.problems(directory: directory.path) == [], "\(at)")
        // And it can be written again.
        try await store.commit { try $0.setMeta("after", [1]) }
        #expect(try await store.read { try $0.meta("after") } == [1])
    }
}
