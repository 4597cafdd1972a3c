import Listeners
import NIOSSL
import Settings
import SkerryModel
import Synchronization

/// The TLS of all listeners: one door for each way of asking clients for certificates that some listener has.
final class TLSDoors: Sendable {
    private let identity: BoxIdentity
    private let doors: [ClientCertificates: TLSDoor]
    private let currentNaming: Mutex<CertificateNaming>

    /// - Throws: `BoxIdentityError` when one of the files cannot be used.
    init(_ settings: Settings, identity: BoxIdentity) throws(BoxIdentityError) {
        var doors: [ClientCertificates: TLSDoor] = [:]
        for clients in Self.wanted(settings) { doors[clients] = TLSDoor(try Self.plan(settings, identity, clients).makeContext()) }
        self.identity = identity
        self.doors = doors
        self.currentNaming = Mutex(settings.tls.clientNaming)
    }

    /// The door of listeners that ask in this way; nil when none was to be made.
    func door(_ clients: ClientCertificates) -> TLSDoor? { self.doors[clients] }

    /// How a certificate says whose it is; nil where nobody is asked for one.
    func naming(_ clients: ClientCertificates) -> CertificateNaming? { clients == .off ? nil : self.currentNaming.withLock { $0 } }

    /// Reads every file anew. For the next handshakes; nothing changes when one of the files cannot be used.
    func reload(_ settings: Settings) throws(BoxIdentityError) {
        var contexts: [(TLSDoor, NIOSSLContext)] = []
        for (clients, door) in self.doors { contexts.append((door, try Self.plan(settings, self.identity, clients).makeContext())) }
        for (door, context) in contexts { door.change(context) }
        self.currentNaming.withLock { $0 = settings.tls.clientNaming }
    }

    private static func wanted(_ settings: Settings) -> Set<ClientCertificates> {
        var wanted: Set<ClientCertificates> = []
        for listener in [settings.https, settings.mqtts] where listener.isEnabled { wanted.insert(listener.clients) }
        for listener in settings.listeners where listener.isTLS { wanted.insert(listener.clients) }
        return wanted
    }

    private static func plan(_ settings: Settings, _ identity: BoxIdentity, _ clients: ClientCertificates) -> TLSPlan {
        var plan = TLSPlan(identity.pair(certificate: settings.tls.certificate, key: settings.tls.key))
        plan.others = settings.tls.extra.map { TLSPlan.Pair(certificate: $0.certificate, key: $0.key) }
        plan.clients = clients
        plan.clientAuthority = settings.tls.clientAuthority
        return plan
    }
}
