import SkerryModel

/// A session's membership in a shared subscription, as the group's home knows it.
struct SharedMember: Sendable, Hashable {
    var shard: Int
    var key: UInt64
    /// The session's number when it is durable; 0 otherwise.
    var number: Int32
}
