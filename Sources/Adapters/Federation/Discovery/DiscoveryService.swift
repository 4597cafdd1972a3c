package import Logging
package import NIOCore
package import Replication
package import SkerryModel
import Crypto
import NIOPosix
import SkerryNode
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Tells boxes on the same network where this one is, and hears them (FEDERATION.md §3): for boxes of the federation whose address changed, and for those
/// that want to join one. Works without any other service; where the network carries no multicast, nothing depends on it.
package final class DiscoveryService: Sendable {
    package struct Settings: Sendable {
        /// Of the organization-local scope (RFC 2365): routers do not carry it away.
        package var group = "239.192.83.75"
        package var port = 18_375
        package var everySeconds: Int64 = 30
        /// Only this network device; nil: all that have an IPv4 address but the loopback one. For tests.
        package var device: String?

        package init() {}
    }

    /// What the box makes of what is heard. Called on the service's event loop.
    package struct Hooks: Sendable {
        /// Whether a box is an active member.
        package var isMember: @Sendable (BoxID) -> Bool
        /// A member is at these addresses now.
        package var found: @Sendable (BoxID, [String]) -> Void

        package init(
            isMember: @escaping @Sendable (BoxID) -> Bool, found: @escaping @Sendable (BoxID, [String]) -> Void
        ) {
            self.isMember = isMember
            self.found = found
        }
    }

    private struct State {
        var book: BeaconBook
        var number: UInt64 = 0
        var channel: (any Channel)?
        var joined: Set<String> = []
        var repeated: RepeatedTask?
        var hasComplained = false
    }

    private let membership: MembershipService
    private let host: any MembershipHost
    private let settings: Settings
    private let hooks: Hooks
    private let loop: any EventLoop
    private let startNonce: UInt64
    private let logger: Logger
    private let state: Mutex<State>

    package init(
        membership: MembershipService, host: any MembershipHost, startNonce: UInt64, hooks: Hooks, settings: Settings = Settings(), loop: any EventLoop,
        logger: Logger, limits: BeaconBook.Limits = BeaconBook.Limits()
    ) {
        self.membership = membership
        self.host = host
        self.startNonce = startNonce
        self.hooks = hooks
        self.settings = settings
        self.loop = loop
        self.logger = logger
        self.state = Mutex(State(book: BeaconBook(box: membership.box, startNonce: startNonce, limits: limits)))
    }

    /// - Throws: when the port cannot be opened; the box can do without.
    package func start() async throws {
        let channel = try await DatagramBootstrap(group: self.loop)
            .channelOption(.socketOption(.so_reuseaddr), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(BeaconHandler(self)) }
            }
            .bind(host: self.settings.group, port: self.settings.port).get()
        let every = TimeAmount.seconds(self.settings.everySeconds)
        let repeated = self.loop.scheduleRepeatedTask(initialDelay: every, delay: every) { [weak self] _ in self?.speak() }
        self.state.withLock {
            $0.channel = channel
            $0.repeated = repeated
        }
        self.announce()
        self.membership.speaks { [weak self] in self?.announce() }
    }

    package func stop() async {
        let (channel, repeated) = self.state.withLock { state in
            defer { (state.channel, state.repeated) = (nil, nil) }
            return (state.channel, state.repeated)
        }
        self.membership.speaks(by: nil)
        repeated?.cancel()
        try? await channel?.close().get()
    }

    /// At once, because something changed: an address, or that the box wants to join. And twice more soon, for a datagram is easily lost, above all on a
    /// network that has just come up.
    package func announce() {
        for delay in Self.repeats { self.loop.scheduleTask(in: delay) { [weak self] in self?.speak() } }
    }

    private static let repeats: [TimeAmount] = [.zero, .milliseconds(1_500), .milliseconds(4_500)]

    // MARK: - Speaking

    private var devices: [NIONetworkDevice] {
        var devices: [NIONetworkDevice] = []
        for var device in (try? System.enumerateDevices()) ?? [] {
            guard device.address?.protocol == .inet, self.settings.device.map({ $0 == device.name }) ?? device.multicastSupported else { continue }
            device.multicastSupported = true
            // Bound: a machine with many containers has many devices.
            if devices.count < 16 { devices.append(device) }
        }
        return devices
    }

    private func speak() {
        self.listen()
        let wants = self.membership.isAnnouncing(now: self.host.monotonicMilliseconds())
        let federation = self.membership.federation
        guard federation != nil || wants else { return }
        let number = self.state.withLock { state in
            state.number += 1
            return state.number
        }
        var beacon = Beacon(
            federation: federation, publicKey: Array(self.membership.boxKey.publicKey.derRepresentation), name: MemberRules.name(self.host.name),
            endpoints: MembershipService.endpoints(self.host), startNonce: self.startNonce, number: number, wantsToJoin: wants)
        beacon.sign(self.membership.boxKey)
        let bytes = beacon.bytes
        guard bytes.count <= Beacon.bytesMax else { return }
        for device in self.devices { if let address = device.address { self.send(bytes, from: address) } }
    }

    /// By a socket of its own for each network: without a route to anywhere, which a box without the internet does not have, the system would not know
    /// where a multicast is to go.
    private func send(_ bytes: [UInt8], from address: SocketAddress) {
        guard let local = try? SocketAddress(ipAddress: address.ipAddress ?? "", port: 0),
            let group = try? SocketAddress(ipAddress: self.settings.group, port: self.settings.port), let packed = IPText.packed(address.ipAddress ?? "")
        else { return }
        let interface = unsafeBitCast(packed.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }.littleEndian, to: in_addr.self)
        let opened = DatagramBootstrap(group: self.loop).bind(to: local)
        opened.whenSuccess { channel in
            let way = (channel as? any SocketOptionProvider)?.setIPMulticastIF(interface) ?? channel.eventLoop.makeSucceededVoidFuture()
            way.flatMap {
                channel.writeAndFlush(AddressedEnvelope(remoteAddress: group, data: channel.allocator.buffer(bytes: bytes)))
            }.whenComplete { _ in channel.close(promise: nil) }
        }
    }

    /// Joins the group on every network that came up since.
    private func listen() {
        guard let channel = self.state.withLock({ $0.channel }) as? any MulticastChannel,
            let group = try? SocketAddress(ipAddress: self.settings.group, port: self.settings.port)
        else { return }
        let devices = self.devices
        let missing = self.state.withLock { state in
            let missing = devices.filter { !state.joined.contains($0.name) }
            state.joined = Set(devices.map(\.name))
            return missing
        }
        for device in missing {
            channel.joinGroup(group, device: device).whenFailure { _ in self.state.withLock { _ = $0.joined.remove(device.name) } }
        }
    }

    // MARK: - Hearing

    fileprivate func heard(_ bytes: [UInt8], from address: SocketAddress) {
        guard let beacon = try? Beacon(bytes) else { return self.membership.metrics.add(.beaconsDropped) }
        let now = self.host.monotonicMilliseconds()
        let (federation, isMember) = (self.membership.federation, self.hooks.isMember)
        var isDropped = false
        let news = self.state.withLock { state in
            state.book.hear(beacon, federation: federation, isMember: isMember, isDropped: &isDropped, isSigned: { $0.isSigned }, now: now)
        }
        if isDropped { self.membership.metrics.add(.beaconsDropped) }
        switch news {
        case nil: break
        case .endpoints(let box, let endpoints): self.hooks.found(box, endpoints)
        case .twin:
            // No more than a word in the log: anybody can keep and repeat a beacon. Clones are found by links, where each side proves that it is there.
            let isFirst = self.state.withLock { state in
                defer { state.hasComplained = true }
                return !state.hasComplained
            }
            if isFirst {
                self.logger.warning(
                    """
                    a beacon with this box's key and of another run was heard: if a copy of this box runs on this network, start it with a new data \
                    directory; otherwise somebody repeats what this box said before its last start
                    """)
            }
        case .wantsToJoin(let box):
            let sighting = NearbyBoxes.Sighting(
                box: box, name: MemberRules.name(beacon.name), words: FingerprintWords.text(publicKey: beacon.publicKey),
                address: address.ipAddress ?? "")
            let membership = self.membership
            Task { await membership.sighted(sighting, now: now) }
        }
    }
}

private final class BeaconHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let service: DiscoveryService

    init(_ service: DiscoveryService) { self.service = service }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = self.unwrapInboundIn(data)
        self.service.heard(Array(envelope.data.readableBytesView), from: envelope.remoteAddress)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}
