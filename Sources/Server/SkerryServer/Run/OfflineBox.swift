import Listeners
import NIOPosix
package import Settings
import SkerryModel
import SkerryNode
import Store
import StoreSQLite

/// The administrator's verbs on the data directory of a box that does not run.
package enum OfflineBox {
    /// - Throws: `ServerError` when another process has the directory, or it cannot be opened.
    package static func perform(_ request: ControlRequest, settings: Settings) async throws -> ControlReply {
        switch request.verb {
        case .online, .status, .reload, .clientsList, .clientsShow, .clientsKick, .retainedList, .retainedShow, .retainedClear,
            .pairInvite, .pairJoin, .pairProgress, .pairAnnounce, .pairList, .pairApprove, .pairIgnore, .pairWords, .pairRecovery, .pairRestore,
            .boxesRemove, .boxesList, .drain:
            throw ServerError("No box runs on \(settings.data); start it with `skerry serve`.")
        case .claim, .userAdd, .userList, .userLock, .userUnlock, .userReset, .token, .invite, .aclAdd, .aclList, .aclRemove, .aclCheck:
            break
        }
        FileModes.forOwnerOnly()
        let store = try BoxStore.open(settings)
        defer { store.close() }
        let identity = try BoxIdentity.loadOrCreate(directory: settings.data)
        let node = Node(
            box: identity.box, loops: [MultiThreadedEventLoopGroup.singleton.next()], store: store, limits: settings.limits,
            clock: try await .disciplined(by: store), random: .system)
        let links = LinkPrinter(bases: BoxAddresses.expected(settings))
        let accounts = AccountService(node: node, offersScram: settings.broker.offersScram)
        let commands = ControlCommands(
            node: node, accounts: accounts, control: nil, links: links, claimed: { _ in }, openedOffline: try BrokerSettings(settings.broker).anonymous)
        do throws(SkerryError) {
            return try await commands.perform(request)
        } catch {
            return ControlReply(error)
        }
    }
}

enum BoxStore {
    /// The store of the data directory, with errors in the words of somebody who starts a box.
    static func open(_ settings: Settings) throws(ServerError) -> SQLiteStore {
        do {
            return try SQLiteStore(directory: settings.data, limits: settings.limits)
        } catch {
            throw ServerError("\(settings.data): \(error.detail)")
        }
    }
}

/// What `skerry check` looks at.
package enum BoxCheck {
    /// What is wrong, in sentences for a person; empty when nothing is.
    package static func findings(_ settings: Settings) throws -> [String] {
        do {
            return try StoreCheck.problems(directory: settings.data)
        } catch {
            throw ServerError("\(settings.data): \(error.detail)")
        }
    }
}

/// Under which addresses people reach the box.
enum BoxAddresses {
    /// Before the listeners are open: what the settings say. A port that is chosen when the box starts cannot be known.
    static func expected(_ settings: Settings) -> [String] {
        var bases: [String] = []
        for (scheme, listener) in [("http", settings.http), ("https", settings.https)] where listener.isEnabled {
            guard let port = listener.port.fixed else { continue }
            bases += Self.bases(scheme, settings.bind, port)
            break
        }
        return bases
    }

    /// One for each network address of the machine, then the one on the machine itself.
    static func bases(_ scheme: String, _ bind: String, _ port: Int) -> [String] {
        var bases = LocalAddress.hosts(of: bind).map { LocalAddress.url(scheme, $0, port) }
        let local = LocalAddress.url(scheme, bind, port)
        if !bases.contains(local) { bases.append(local) }
        return bases
    }
}
