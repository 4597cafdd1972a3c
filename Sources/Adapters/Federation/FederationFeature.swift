package import Replication
package import SkerryModel

/// What a part of the federation may do with links; handed to it by `FederationService`. May be called from anywhere.
package protocol FederationLinks: AnyObject, Sendable {
    var box: BoxID { get }
    /// Boxes with a live link now.
    var peers: [BoxID] { get }
    /// Under this box's origin, to one box or, with nil, to every box with a live link.
    func send(_ channel: LinkChannel, _ payload: [UInt8], to box: BoxID?)
    /// Asks one box; nil: no answer within ten seconds, or no link.
    func ask(_ kind: RequestKind, _ body: [UInt8], of box: BoxID) async -> [UInt8]?
}

/// A part of the federation beside the logs: presence, topics, blobs, heartbeats. Called in order, on the service's actor; returns soon.
package protocol FederationFeature: AnyObject, Sendable {
    /// Channels whose messages it wants.
    var channels: Set<LinkChannel> { get }
    /// Kinds of request it answers.
    var requests: Set<RequestKind> { get }
    func start(_ links: any FederationLinks)
    /// The box belongs to this federation from now on, with or without links.
    func joined(_ federation: FederationID)
    /// Who belongs to the federation, this box too, whenever that changes.
    func members(_ members: [BoxID: MemberEntry])
    func linkUp(_ box: BoxID)
    func linkDown(_ box: BoxID)
    func received(_ message: LinkMessage, from box: BoxID)
    /// Nil: there is no answer.
    func answer(_ kind: RequestKind, _ body: [UInt8], from box: BoxID) async -> [UInt8]?
    /// Once a second, with milliseconds that never go back.
    func tick(now monotonic: UInt64)
    /// The box stops; what is sent now still leaves.
    func stop()
}

extension FederationFeature {
    package var requests: Set<RequestKind> { [] }
    package func members(_ members: [BoxID: MemberEntry]) {}
    package func joined(_ federation: FederationID) {}
    package func linkUp(_ box: BoxID) {}
    package func linkDown(_ box: BoxID) {}
    package func answer(_ kind: RequestKind, _ body: [UInt8], from box: BoxID) async -> [UInt8]? { nil }
    package func tick(now monotonic: UInt64) {}
    package func stop() {}
}
