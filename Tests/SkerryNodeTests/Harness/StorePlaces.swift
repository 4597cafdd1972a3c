import SkerryModel
import Store
import StoreSQLite
import TestKit

/// Where a test's store is kept, so that a box can be started again on it.
struct BoxPlace: Sendable {
    private let memory = MemoryPlace()
    private let directory = TemporaryDirectory()
    let kind: StoreKind

    func open(limits: Limits = Limits()) throws -> any Store {
        switch self.kind {
        case .memory: try self.memory.open()
        case .sqlite: try SQLiteStore(directory: self.directory.path, limits: limits)
        }
    }
}
