package import Account
package import NIOCore
package import SkerryModel
package import SkerryNode
import Synchronization

/// Counts open connections of all listeners, in total and by address, and lets no more in than allowed, nor faster.
///
/// A refused connection is closed at once: an answer would cost what the limit protects.
package final class ConnectionLimiter: Sendable {
    /// What an administrator may change while the box runs.
    package struct Bounds: Sendable {
        package var connectionsMax: Int
        package var connectionsPerAddressMax: Int
        /// New connections of one address.
        package var rate: TokenBucket.Rate
        /// Proxies that say in a PROXY header for whom they come.
        package var trusted: [AddressRange] = []

        package init(_ limits: Limits) {
            self.connectionsMax = limits.connectionsMax
            self.connectionsPerAddressMax = limits.connectionsPerAddressMax
            self.rate = TokenBucket.Rate(burst: limits.connectBurst, refill: limits.connectsPerSecond)
        }
    }

    /// Who a new connection is from, by its own address.
    package enum Origin: Sendable, Hashable {
        case client
        /// Some proxies are trusted; this is none of them.
        case stranger
        /// Its header says who it comes for.
        case proxy
    }

    private struct State {
        var bounds: Bounds
        var rates: AddressRates
        var total = 0
        var byAddress: [AddressKey: Int] = [:]
    }

    private enum Refusal: String {
        case total = "the box has as many connections as it takes"
        case address = "too many connections from this address"
        case rate = "too many new connections from this address"
    }

    let proxyHeaderSeconds: Int64
    private let state: Mutex<State>
    private let metrics: NodeMetrics
    private let refusals: RefusalLog?
    private let monotonic: @Sendable () -> UInt64

    /// - Parameters:
    ///   - refusals: hears of everybody who is turned away.
    ///   - monotonic: milliseconds.
    package init(
        limits: Limits, metrics: NodeMetrics, refusals: RefusalLog? = nil,
        monotonic: @escaping @Sendable () -> UInt64 = { NIODeadline.now().uptimeNanoseconds / 1_000_000 }
    ) {
        self.state = Mutex(State(bounds: Bounds(limits), rates: AddressRates(keysMax: limits.limiterKeysMax)))
        self.proxyHeaderSeconds = Int64(limits.proxyHeaderSecondsMax)
        self.metrics = metrics
        self.refusals = refusals
        self.monotonic = monotonic
    }

    package var count: Int { self.state.withLock(\.total) }

    /// For connections that come from now on; those that are there stay.
    package func change(_ bounds: Bounds) { self.state.withLock { $0.bounds = bounds } }

    package func origin(_ address: SocketAddress?) -> Origin {
        self.state.withLock { state in
            if state.bounds.trusted.isEmpty { return .client }
            guard let packed = address?.packedAddress, !packed.isEmpty else { return .stranger }
            return state.bounds.trusted.contains { $0.contains(packed) } ? .proxy : .stranger
        }
    }

    /// True: the connection counts until it closes. False: it was refused; close it. Once more a limit is in the way, the count is as before.
    package func admit(_ channel: any Channel) -> Bool {
        self.enter(channel, from: AddressKey(channel.remoteAddress))
    }

    /// As `admit`, for a connection of a proxy: it counts, but for no address before its header has come.
    package func admitProxy(_ channel: any Channel) -> Bool { self.enter(channel, from: nil) }

    /// The header has come: the connection counts for the client's address too.
    package func admit(_ channel: any Channel, behindProxy address: SocketAddress?) -> Bool {
        let key = AddressKey(address)
        let now = self.monotonic()
        let refusal = self.state.withLock { Self.enter(&$0, key, now) }
        if let refusal { return self.refuse(refusal, key) }
        channel.closeFuture.whenComplete { _ in self.state.withLock { Self.leave(&$0, key) } }
        return true
    }

    /// A connection was turned away for what it says of itself in a PROXY header.
    func refuseProxy(_ reason: String, _ address: SocketAddress?) {
        self.metrics.add(.proxyHeadersRefused)
        self.refusals?.note("proxy", reason: reason, address: AddressKey(address))
    }

    /// TLS was not agreed on.
    package func refuseTLS(_ reason: String, _ address: SocketAddress?) {
        self.metrics.add(.tlsHandshakesFailed)
        self.refusals?.note("tls", reason: reason, address: AddressKey(address))
    }

    private func enter(_ channel: any Channel, from address: AddressKey?) -> Bool {
        let now = self.monotonic()
        let refusal = self.state.withLock { state -> Refusal? in
            guard state.total < state.bounds.connectionsMax else { return .total }
            if let address, let refusal = Self.enter(&state, address, now) { return refusal }
            state.total += 1
            return nil
        }
        if let refusal { return self.refuse(refusal, address ?? AddressKey(channel.remoteAddress)) }
        self.metrics.add(.connectionsAccepted)
        channel.closeFuture.whenComplete { _ in
            self.state.withLock { state in
                state.total -= 1
                if let address { Self.leave(&state, address) }
            }
        }
        return true
    }

    private func refuse(_ refusal: Refusal, _ address: AddressKey) -> Bool {
        self.metrics.add(.connectionsRefused)
        if refusal == .rate { self.metrics.add(.connectionsLimited) }
        self.refusals?.note("connection", reason: refusal.rawValue, address: address)
        return false
    }

    private static func enter(_ state: inout State, _ address: AddressKey, _ now: UInt64) -> Refusal? {
        let present = state.byAddress[address] ?? 0
        guard present < state.bounds.connectionsPerAddressMax else { return .address }
        guard state.rates.take(address, state.bounds.rate, now: now) else { return .rate }
        state.byAddress[address] = present + 1
        return nil
    }

    private static func leave(_ state: inout State, _ address: AddressKey) {
        let left = (state.byAddress[address] ?? 1) - 1
        state.byAddress[address] = left == 0 ? nil : left
    }
}
