import NIOCore
import NIOPosix
import Synchronization

/// Stands between two boxes and may be cut or stalled: TCP as a bad network or a killed box makes it.
final class TestRelay: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var isStalled = false
        var accepted = 0
        var bytes = 0
    }

    private let state = Mutex(State())
    private let server: Mutex<(any Channel)?> = Mutex(nil)
    let port: Int

    init(to target: Int) async throws {
        let box = Mutex<TestRelay?>(nil)
        let server = try await ServerBootstrap(group: TestLinkBox.group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: false)
            .childChannelInitializer { inner in
                guard let relay = box.withLock({ $0 }) else { return inner.close() }
                relay.enter(inner)
                let glue = Glue(relay)
                let outerGlue = Glue(relay)
                return ClientBootstrap(group: inner.eventLoop)
                    .channelInitializer { outer in
                        outer.eventLoop.makeCompletedFuture {
                            relay.enter(outer)
                            outerGlue.partner = inner
                            try outer.pipeline.syncOperations.addHandler(outerGlue)
                        }
                    }
                    .connect(host: "127.0.0.1", port: target)
                    .flatMapThrowing { outer in
                        glue.partner = outer
                        try inner.pipeline.syncOperations.addHandler(glue)
                    }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        self.port = server.localAddress?.port ?? 0
        self.server.withLock { $0 = server }
        box.withLock { $0 = self }
    }

    private func enter(_ channel: any Channel) {
        self.state.withLock { state in
            state.channels[ObjectIdentifier(channel)] = channel
            state.accepted += 1
        }
        channel.closeFuture.whenComplete { _ in self.state.withLock { $0.channels[ObjectIdentifier(channel)] = nil } }
    }

    /// As when the process at the other end is killed: the sockets close, and TLS says nothing.
    func cut() { for channel in self.state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) } }

    /// From now on what is sent vanishes, and nobody hears of it.
    func stall(_ isStalled: Bool) { self.state.withLock { $0.isStalled = isStalled } }

    var isStalled: Bool { self.state.withLock(\.isStalled) }
    var connections: Int { self.state.withLock { $0.accepted / 2 } }
    var bytes: Int { self.state.withLock(\.bytes) }
    func count(_ bytes: Int) { self.state.withLock { $0.bytes += bytes } }

    func stop() async throws {
        try await self.server.withLock { $0 }?.close()
        self.cut()
    }
}

private final class Glue: ChannelInboundHandler, @unchecked Sendable {
    // Unchecked: used on the one loop of both channels.
    typealias InboundIn = ByteBuffer

    private let relay: TestRelay
    var partner: (any Channel)?
    init(_ relay: TestRelay) { self.relay = relay }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if self.relay.isStalled { return }
        let bytes = self.unwrapInboundIn(data)
        self.relay.count(bytes.readableBytes)
        self.partner?.writeAndFlush(bytes, promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !self.relay.isStalled { self.partner?.close(promise: nil) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
