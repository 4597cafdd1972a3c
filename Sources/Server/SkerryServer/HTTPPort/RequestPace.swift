import Listeners
package import NIOCore

/// How fast a client must be with its requests and with taking the answers, so that a few slow ones cannot hold all connections (slowloris).
package struct RequestPace {
    package struct Bounds: Sendable {
        /// From the first byte of a request to the end of its head.
        package var headSeconds: Int64 = 10
        /// A body may take this long whatever its size; after that it must come at least this fast on average.
        package var bodySeconds: Int64 = 30
        package var bodyBytesPerSecondMin = 256
        /// How long a full socket may stay full: a client that takes nothing of its answer holds a connection for nothing.
        package var takeSeconds: Int64 = 60
        package init() {}
    }

    private enum State {
        /// Between requests.
        case idle
        /// The first byte of a head has come, its end is awaited.
        case head(since: NIODeadline)
        case body(since: NIODeadline, bytes: Int)
    }

    private let bounds: Bounds
    private var state = State.idle
    /// Since when the client takes nothing of what waits for it.
    private var fullSince: NIODeadline?

    package init(bounds: Bounds) { self.bounds = bounds }

    package mutating func bytesCame(_ count: Int, now: NIODeadline) {
        switch self.state {
        case .idle: self.state = .head(since: now)
        case .head: break
        case .body(let since, let bytes): self.state = .body(since: since, bytes: bytes + count)
        }
    }

    package mutating func headEnded(now: NIODeadline) { self.state = .body(since: now, bytes: 0) }
    package mutating func requestEnded() { self.state = .idle }
    package mutating func roomChanged(hasRoom: Bool, now: NIODeadline) { self.fullSince = hasRoom ? nil : self.fullSince ?? now }

    /// Whether the client was too slow, and if so whether an answer can still be given: not in the middle of a request that is being handled.
    package func isTooSlow(now: NIODeadline) -> (isTooSlow: Bool, isAnswerable: Bool) {
        if let fullSince, now - fullSince > .seconds(self.bounds.takeSeconds) { return (true, false) }
        switch self.state {
        case .idle: return (false, false)
        case .head(let since): return (now - since > .seconds(self.bounds.headSeconds), true)
        case .body(let since, let bytes):
            let seconds = (now - since).nanoseconds / 1_000_000_000
            return (seconds > self.bounds.bodySeconds && Int64(bytes) < seconds * Int64(self.bounds.bodyBytesPerSecondMin), false)
        }
    }
}

/// Watches the pace of one HTTP connection: this handler sees the bytes, the `RequestGuard` behind the decoder tells it what they meant.
final class RequestPaceHandler: ChannelInboundHandler, KeptConnection {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let keeper: ConnectionKeeper
    private var pace: RequestPace
    private var context: ChannelHandlerContext?
    var keeperSlot: Int?

    init(keeper: ConnectionKeeper, bounds: RequestPace.Bounds) {
        self.keeper = keeper
        self.pace = RequestPace(bounds: bounds)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.keeper.keep(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.keeper.forget(self)
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.pace.bytesCame(self.unwrapInboundIn(data).readableBytes, now: self.keeper.loop.now)
        context.fireChannelRead(data)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.pace.roomChanged(hasRoom: context.channel.isWritable, now: self.keeper.loop.now)
        context.fireChannelWritabilityChanged()
    }

    func tickEnded() {}

    func secondPassed(_ now: NIODeadline) {
        let (isTooSlow, isAnswerable) = self.pace.isTooSlow(now: now)
        guard isTooSlow, let context = self.context else { return }
        if isAnswerable {
            let answer = ByteBuffer(string: "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            context.writeAndFlush(self.wrapOutboundOut(answer), promise: nil)
        }
        context.close(promise: nil)
    }

    func headEnded() { self.pace.headEnded(now: self.keeper.loop.now) }
    func requestEnded() { self.pace.requestEnded() }
}

@available(*, unavailable)
extension RequestPaceHandler: Sendable {}
