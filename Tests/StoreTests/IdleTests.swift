import SkerryModel
import Store
import StoreSQLite
import TestKit
import Testing

@Suite("A store with nothing to write")
struct IdleTests {
    @Test("A transaction knows whether it has changed a row: one that found nothing to do leaves the disk alone")
    func changes() async throws {
        let directory = TemporaryDirectory()
        let store = try SQLitePlace(directory: directory, migrations: Migration.all).open()
        defer { store.close() }
        let seen = await withCheckedContinuation { continuation in
            store.onWriter { writer in
                var seen: [Bool] = []
                try? writer.write { transaction in
                    seen.append(transaction.hasChanges)
                    _ = try transaction.removeRetained(expiredAt: 1, limit: 10)
                    seen.append(transaction.hasChanges)
                    try transaction.setMeta("note", [1])
                    seen.append(transaction.hasChanges)
                }
                continuation.resume(returning: seen)
            }
        }
        #expect(seen == [false, false, true])
    }
}
