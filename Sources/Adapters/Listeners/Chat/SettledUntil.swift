import ChatCodec
import Replication
import SkerryModel
import SkerryNode

/// How long a client is not sent on: never twice within half a minute when another box has sent it here, which it shows by the token it was given,
/// and not at once to even out the load (FEDERATION.md §5).
struct SettledUntil {
    private var sent: UInt64 = 0
    private var came: UInt64 = 0

    init() {}

    /// - Parameters:
    ///   - hop: the token of the client's `hello`; whatever is no such token is as good as none.
    ///   - wall: milliseconds since 1970.
    init(hop: String?, wall: UInt64, now: UInt64) {
        self.came = now + Moving.rest
        if let hop = hop.flatMap({ HopToken(text: $0) }), hop.isFresh(now: wall) { self.sent = now + HopToken.restMilliseconds }
    }

    func holds(at now: UInt64, isDrain: Bool) -> Bool { now < (isDrain ? self.sent : max(self.sent, self.came)) }
}

extension MoveTarget {
    /// The `d` of `moved`.
    func write(to json: inout JSONWriter) {
        json.field("box", self.box.description)
        json.array("endpoints", self.endpoints.clientURLs) { $0.string($1) }
        json.field("token", self.token)
    }
}
