import Synchronization

/// A socket the box listens on.
package struct ListenerRecord: Sendable, Hashable {
    package enum Kind: String, Sendable { case http, mqtt, federation }

    package var kind: Kind
    package var address: String
    package var port: Int
    package var isTLS: Bool
    /// Of a listener with settings of its own.
    package var name: String?

    package init(kind: Kind, address: String, port: Int, isTLS: Bool, name: String? = nil) {
        self.kind = kind
        self.address = address
        self.port = port
        self.isTLS = isTLS
        self.name = name
    }
}

/// Where the box listens just now, as whoever binds and closes sockets reports it.
package final class ListenerRegistry: Sendable {
    private let records = Mutex<[ListenerRecord]>([])

    package init() {}

    package func opened(_ record: ListenerRecord) {
        self.records.withLock { records in if !records.contains(record) { records.append(record) } }
    }
    package func closed(_ record: ListenerRecord) { self.records.withLock { $0.removeAll { $0 == record } } }

    /// In the order of opening.
    package var all: [ListenerRecord] { self.records.withLock { $0 } }
}
