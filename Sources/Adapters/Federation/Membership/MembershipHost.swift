package import SkerryModel

/// What membership needs of the box it is part of: `FederationService` is it.
package protocol MembershipHost: AnyObject, Sendable {
    /// What the box calls itself for people.
    var name: String { get }
    /// `address:port` of the federation listener, those that others can most likely reach first; empty: it is not open.
    func endpoints() -> [String]
    /// Milliseconds since 1970 by the federation's time.
    func federationMilliseconds() -> UInt64
    /// Milliseconds that never go back.
    func monotonicMilliseconds() -> UInt64

    /// All rows, removed boxes too.
    func members() async throws(SkerryError) -> [MemberEntry]
    /// Appends the row to this box's control log; returns once it is on the disk and counts.
    func append(_ member: MemberEntry) async throws(SkerryError)
    /// How far each log of `box` is held here.
    func held(of box: BoxID) async throws(SkerryError) -> [LogEpoch: UInt64]
    /// Why taking `box` out now would lose something; nil: others hold all it has.
    func obstacle(toRetiring box: BoxID) async -> String?
    /// From now on the box is of this federation, with these rows to begin with: it serves and makes links. Rows of another federation, which can only
    /// have been one of this box alone, are forgotten. Also called when nothing but `isIssuer` changed.
    func adopt(_ identity: FederationIdentity, members: [MemberEntry]) async throws(SkerryError)
}
