import Listeners
package import NIOCore
import NIOHTTP1

/// How fast a client must be with its requests, so that a few slow ones cannot hold all connections (slowloris).
package struct RequestPace {
    package struct Bounds: Sendable {
        /// From the first byte of a request to the end of its head.
        package var headSeconds: Int64 = 10
        /// A body may take this long whatever its size; after that it must come at least this fast on average.
        package var bodySeconds: Int64 = 30
        package var bodyBytesPerSecondMin = 256
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

    /// Whether the client was too slow, and if so whether an answer can still be given: not in the middle of a request that is being handled.
    package func isTooSlow(now: NIODeadline) -> (isTooSlow: Bool, isAnswerable: Bool) {
        switch self.state {
        case .idle: return (false, false)
        case .head(let since): return (now - since > .seconds(self.bounds.headSeconds), true)
        case .body(let since, let bytes):
            let seconds = (now - since).nanoseconds / 1_000_000_000
            return (seconds > self.bounds.bodySeconds && Int64(bytes) < seconds * Int64(self.bounds.bodyBytesPerSecondMin), false)
        }
    }
}

/// Watches the pace of one HTTP connection: this handler sees the bytes, its probe behind the decoder what they meant.
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

    /// Sees the parts of requests behind the decoder.
    final class Probe: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart

        private let watch: RequestPaceHandler

        init(_ watch: RequestPaceHandler) { self.watch = watch }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch self.unwrapInboundIn(data) {
            case .head: self.watch.pace.headEnded(now: self.watch.keeper.loop.now)
            case .body: break
            case .end: self.watch.pace.requestEnded()
            }
            context.fireChannelRead(data)
        }
    }
}

@available(*, unavailable)
extension RequestPaceHandler: Sendable {}
@available(*, unavailable)
extension RequestPaceHandler.Probe: Sendable {}
