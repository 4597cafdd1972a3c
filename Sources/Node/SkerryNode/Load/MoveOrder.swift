package import SkerryModel
import Synchronization

/// A box to which clients may be sent.
package struct MoveTarget: Sendable, Hashable {
    package var box: BoxID
    package var endpoints: [BoxEndpoint]
    /// For the client to show there, so that it is not sent on at once.
    package var token: String

    package init(box: BoxID, endpoints: [BoxEndpoint], token: String) {
        self.box = box
        self.endpoints = endpoints
        self.token = token
    }

    /// For clients of MQTT 5: `host:port`, several with spaces between (MQTT 5 §4.11).
    package func serverReference(_ kind: String) -> String? {
        let places = self.endpoints.filter { $0.kind == kind }.map(\.hostAndPort)
        return places.isEmpty ? nil : places.joined(separator: " ")
    }
}

/// Sends a few clients elsewhere: each shard takes targets for its clients as long as there are any (FEDERATION.md §5).
package final class MoveOrder: Sendable {
    private let targets: [MoveTarget]
    private let next = Atomic(0)
    /// Everybody is to go, also those who were sent here a moment ago and those who speak MQTT: their queues stay behind.
    package let isDrain: Bool

    package init(_ targets: [MoveTarget], isDrain: Bool) {
        self.targets = targets
        self.isDrain = isDrain
    }

    /// Nil: enough have gone for now.
    package func take() -> MoveTarget? {
        let index = self.next.wrappingAdd(1, ordering: .relaxed).oldValue
        return self.targets.indices.contains(index) ? self.targets[index] : nil
    }

    package var isDone: Bool { self.next.load(ordering: .relaxed) >= self.targets.count }
}

/// Whether and where this box sends clients, for whoever has one at hand. The lock is a leaf.
package final class Moving: Sendable {
    private struct State {
        var isDraining = false
        var choose: (@Sendable () -> MoveTarget?)?
        /// When a device was sent away, on the box's clock.
        var devices: [DeviceID: UInt64] = [:]
    }

    /// Devices that are remembered; at the bound the older half is forgotten.
    private static let devicesMax = 8_192
    /// Milliseconds in which a client that came back all the same is left alone, unless everybody has to go.
    package static let patience: UInt64 = 600_000
    /// Milliseconds that a client may stay in any case.
    package static let rest: UInt64 = 30_000

    private let state = Mutex(State())

    package init() {}

    package var isDraining: Bool { self.state.withLock { $0.isDraining } }

    /// - Parameter choose: finds another box for one client; nil: there is none just now.
    package func drain(_ isOn: Bool, choose: (@Sendable () -> MoveTarget?)? = nil) {
        self.state.withLock { state in
            state.isDraining = isOn
            state.choose = isOn ? choose : nil
        }
    }

    /// Where somebody who is only coming in should go instead; nil: they are as well off here.
    package func target() -> MoveTarget? { self.state.withLock { $0.choose }?() }

    package func moved(_ device: DeviceID, now: UInt64) {
        self.state.withLock { state in
            if state.devices.count >= Self.devicesMax {
                let middle = state.devices.values.sorted()[Self.devicesMax / 2]
                state.devices = state.devices.filter { $0.value > middle }
            }
            state.devices[device] = now
        }
    }

    /// Whether the device was sent away lately and came back.
    package func isBack(_ device: DeviceID, isDrain: Bool, now: UInt64) -> Bool {
        guard let time = self.state.withLock({ $0.devices[device] }) else { return false }
        return now - min(now, time) < (isDrain ? Self.rest : Self.patience)
    }
}
