import Account
import MQTTCodec
package import NIOCore
import SkerryModel
import Synchronization

/// The socket's side of an MQTT connection, on the connection's loop.
package protocol MQTTOutlet: AnyObject {
    /// CONNECT was accepted: what the client sent behind it may be handed over.
    func accepted(by home: Shard)
    /// The client was asked to prove who it is: what it sends next goes to `MQTTBroker.proceed` with `exchange`.
    func challenged(_ exchange: AuthExchange)
    /// Writes and flushes; tells the link when the bytes have left.
    func send(_ bytes: ByteBuffer)
    /// Sends what was given before, then closes.
    func close()
    /// Fewer packets are under way again.
    func resumeReading()
}

/// By which way a client's bytes come.
package enum MQTTTransport: String, Sendable, CaseIterable {
    case tcp
    case tls
    case webSocket = "ws"
    case secureWebSocket = "wss"

    /// Under which kind another box lists the same way in.
    var endpointKind: String {
        switch self {
        case .tcp: "mqtt"
        case .tls: "mqtts"
        case .webSocket: "http"
        case .secureWebSocket: "https"
        }
    }
}

/// What an MQTT connection and the home of its session know of each other: two loops, so everything here is atomic or bound to one of them.
package final class MQTTLink: Sendable {
    package let id: UInt64
    package let loop: any EventLoop
    /// For people: lists and logs.
    package let addressText: String
    let address: AddressKey
    package let transport: MQTTTransport
    /// What the listener it came through grants.
    package let terms: ListenerTerms
    private let outlet: NIOLoopBoundBox<(any MQTTOutlet)?>
    /// Bytes handed to the connection that have not left yet.
    private let waiting = Atomic<Int>(0)
    private let wantsRoom = Atomic<Bool>(false)
    /// Packets of the client that are not dealt with yet.
    private let owed = Atomic<Int>(0)
    private let isPaused = Atomic<Bool>(false)
    private let isGone = Atomic<Bool>(false)
    private let isStopped = Atomic<Bool>(false)
    private var owedMax: Int { self.terms.settings.owedMax }
    private let fault = Atomic<UInt8>(0)
    private let wasAccepted = Atomic<Bool>(false)
    private let introduction = Mutex<(client: String, user: String?)>(("", nil))
    /// Bytes of the largest packet the client takes, once its CONNECT said so: a refusal keeps to it as well [MQTT-3.2.2-19].
    let packetBytesMax = Atomic<Int>(.max)

    /// To be made on the connection's loop.
    package init(id: UInt64, loop: any EventLoop, remote: SocketAddress?, transport: MQTTTransport = .tcp, terms: ListenerTerms, outlet: any MQTTOutlet) {
        self.id = id
        self.loop = loop
        self.terms = terms
        self.addressText = remote?.ipAddress ?? ""
        self.address = AddressKey(remote)
        self.transport = transport
        self.outlet = NIOLoopBoundBox(outlet, eventLoop: loop)
    }

    /// Who the client says it is, for the log of those that are not let in: as much as is shown there.
    func introduce(client: String, user: String?) {
        self.introduction.withLock { $0 = (String(client.prefix(ConnectionLog.textMax + 1)), user.map { String($0.prefix(200)) }) }
    }
    /// What was wrong with the packet that ends the connection.
    func setFault(_ reason: MQTTReason) { self.fault.store(reason.rawValue, ordering: .relaxed) }
    var faultReason: MQTTReason? {
        let reason = self.fault.load(ordering: .relaxed)
        return reason == 0 ? nil : MQTTReason(reason)
    }
    /// Its CONNECT was accepted: what ends it is no refusal.
    var isIn: Bool { self.wasAccepted.load(ordering: .relaxed) }
    var introduced: (client: String, user: String?) { self.introduction.withLock { $0 } }

    // MARK: - On the connection's loop

    /// The connection is gone: nothing reaches it any more.
    package func detach() { self.outlet.value = nil }

    /// Bytes have left. True: the home waits to hear of it.
    package func left(_ count: Int, roomBelow bytes: Int) -> Bool {
        let before = self.waiting.wrappingSubtract(count, ordering: .relaxed).oldValue
        guard before - count <= bytes else { return false }
        return self.wantsRoom.exchange(false, ordering: .acquiringAndReleasing)
    }

    /// Packets go to the home. False: enough are under way; stop reading until `resumeReading`.
    package func owe(_ count: Int) -> Bool {
        let now = self.owed.wrappingAdd(count, ordering: .acquiringAndReleasing).newValue
        guard now > self.owedMax else { return true }
        self.isPaused.store(true, ordering: .sequentiallyConsistent)
        // They may have been settled in between, by somebody who did not see the pause.
        guard self.owed.load(ordering: .sequentiallyConsistent) > self.owedMax / 2 else {
            return self.isPaused.exchange(false, ordering: .sequentiallyConsistent)
        }
        return false
    }

    // MARK: - Anywhere

    package var waitingBytes: Int { self.waiting.load(ordering: .relaxed) }

    func settle(_ count: Int) {
        guard count > 0 else { return }
        let now = self.owed.wrappingSubtract(count, ordering: .sequentiallyConsistent).newValue
        guard now <= self.owedMax / 2, self.isPaused.load(ordering: .sequentiallyConsistent),
            self.isPaused.exchange(false, ordering: .sequentiallyConsistent)
        else { return }
        self.enter { $0.resumeReading() }
    }

    /// Whether the client is not read, because too much of it is under way or it does not read what it is sent.
    var isNotRead: Bool { self.isPaused.load(ordering: .relaxed) || self.isStopped.load(ordering: .relaxed) }

    /// The client is not read until `goOnReading`, however little is under way. Called by the home alone.
    func stopReading() {
        guard !self.isStopped.exchange(true, ordering: .sequentiallyConsistent) else { return }
        self.owed.wrappingAdd(self.owedMax + 1, ordering: .sequentiallyConsistent)
    }

    func goOnReading() {
        guard self.isStopped.load(ordering: .relaxed), self.isStopped.exchange(false, ordering: .sequentiallyConsistent) else { return }
        self.settle(self.owedMax + 1)
    }

    /// The home wants to hear when there is room again.
    func askForRoom() { self.wantsRoom.store(true, ordering: .releasing) }

    /// The connection is gone, and its CONNECT may still be under way: whoever decides it must let it be.
    func abandon() { self.isGone.store(true, ordering: .sequentiallyConsistent) }
    var isAbandoned: Bool { self.isGone.load(ordering: .sequentiallyConsistent) }

    /// CONNACK goes out. In one crossing: a client that has it may say everything it came for and close before a second one gets there,
    /// and what comes while nobody is known to be connected is lost with the connection.
    func accepted(by home: Shard, sending connack: ByteBuffer) {
        self.wasAccepted.store(true, ordering: .relaxed)
        self.reserve(connack)
        self.enter {
            $0.send(connack)
            $0.accepted(by: home)
        }
    }

    /// An AUTH goes out, and the client's answer to it is awaited.
    func challenge(_ exchange: AuthExchange, sending auth: ByteBuffer) {
        self.reserve(auth)
        self.enter {
            $0.send(auth)
            $0.challenged(exchange)
        }
    }

    func send(_ bytes: ByteBuffer, thenClose closes: Bool = false) {
        self.reserve(bytes)
        self.enter {
            if bytes.readableBytes > 0 { $0.send(bytes) }
            if closes { $0.close() }
        }
    }

    /// Counts bytes as waiting that are on their way to the connection's loop, which may be busy for long.
    func reserve(_ bytes: ByteBuffer) { self.waiting.wrappingAdd(bytes.readableBytes, ordering: .relaxed) }

    /// Bytes that were reserved have crossed.
    func sendReserved(_ bytes: ByteBuffer) { self.enter { $0.send(bytes) } }

    private func enter(_ body: @escaping @Sendable (any MQTTOutlet) -> Void) {
        let outlet = self.outlet
        if self.loop.inEventLoop {
            if let outlet = outlet.value { body(outlet) }
        } else {
            self.loop.execute { if let outlet = outlet.value { body(outlet) } }
        }
    }
}
