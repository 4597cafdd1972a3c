package import Account
package import Logging
import Synchronization

/// Tells the administrator, in the log, who was not let in and why: never a secret, and never faster than a person reads.
///
/// A name appears only when somebody on the box has it, because people type passwords where names go. Of one address there is a line in ten
/// seconds at most, of all together `linesPerMinute`; the next line says how many were left out. The figures in `/metrics` count them all.
package final class RefusalLog: Sendable {
    private struct State {
        var bucket: TokenBucket?
        var last: [AddressKey: UInt64] = [:]
        var unlogged = 0
    }

    package static let linesPerMinute = 20
    static let addressMilliseconds: UInt64 = 10_000
    /// Addresses remembered; at the bound all are forgotten, and the lines a minute still hold.
    static let addressesMax = 1_024
    private static let rate = TokenBucket.Rate(burst: RefusalLog.linesPerMinute, refill: RefusalLog.linesPerMinute, periodMilliseconds: 60_000)

    private let logger: Logger
    private let clock: NodeClock
    private let state = Mutex(State())

    package init(logger: Logger, clock: NodeClock) {
        self.logger = logger
        self.clock = clock
    }

    /// A log that nobody reads: tests, verbs on a stopped box.
    package convenience init(clock: NodeClock) { self.init(logger: Logger(label: "skerry") { _ in SwiftLogNoOpLogHandler() }, clock: clock) }

    /// - Parameters:
    ///   - by: what was shown at the door: `password`, `token`, `link`, `mqtt`.
    ///   - reason: a code or a sentence of our own, never something that came from outside.
    ///   - name: of an account that exists.
    package func note(_ by: StaticString, reason: String, name: String? = nil, address: AddressKey) {
        guard let unlogged = self.admit(address) else { return }
        var metadata: Logger.Metadata = ["by": "\(by)", "reason": "\(reason)", "address": "\(address)"]
        if let name { metadata["name"] = "\(name)" }
        if unlogged > 0 { metadata["unlogged"] = "\(unlogged)" }
        self.logger.info("not let in", metadata: metadata)
    }

    /// How many went without a line since the last one; nil: no line for this one either.
    private func admit(_ address: AddressKey) -> Int? {
        let now = self.clock.monotonic()
        return self.state.withLock { state in
            if let last = state.last[address], now - min(now, last) < Self.addressMilliseconds {
                state.unlogged += 1
                return nil
            }
            var bucket = state.bucket ?? TokenBucket(Self.rate, now: now)
            let wait = bucket.take(Self.rate, now: now)
            state.bucket = bucket
            guard wait == nil else {
                state.unlogged += 1
                return nil
            }
            if state.last.count >= Self.addressesMax { state.last = [:] }
            state.last[address] = now
            defer { state.unlogged = 0 }
            return state.unlogged
        }
    }
}
