package import NIOCore
package import SkerryModel
package import SkerryNode
import Account
import Synchronization

/// Counts open connections of all listeners, in total and by address, and lets no more in than allowed.
///
/// A refused connection is closed at once: an answer would cost what the limit protects.
package final class ConnectionLimiter: Sendable {
    private struct State {
        var total = 0
        var byAddress: [AddressKey: Int] = [:]
    }

    private let state = Mutex(State())
    private let limits: Limits
    private let metrics: NodeMetrics

    package init(limits: Limits, metrics: NodeMetrics) {
        self.limits = limits
        self.metrics = metrics
    }

    package var count: Int { self.state.withLock(\.total) }

    /// True: the connection counts until it closes. False: it was refused; close it.
    package func admit(_ channel: any Channel) -> Bool {
        let address = AddressKey(channel.remoteAddress)
        let isAdmitted = self.state.withLock { state in
            let present = state.byAddress[address] ?? 0
            guard state.total < self.limits.connectionsMax, present < self.limits.connectionsPerAddressMax else { return false }
            state.total += 1
            state.byAddress[address] = present + 1
            return true
        }
        guard isAdmitted else {
            self.metrics.add(.connectionsRefused)
            return false
        }
        self.metrics.add(.connectionsAccepted)
        channel.closeFuture.whenComplete { _ in self.leave(address) }
        return true
    }

    private func leave(_ address: AddressKey) {
        self.state.withLock { state in
            state.total -= 1
            let left = (state.byAddress[address] ?? 1) - 1
            state.byAddress[address] = left == 0 ? nil : left
        }
    }
}
