import ChatCodec
import NIOCore
import NIOHTTP1
import SkerryModel

/// What RFC 9110 and 9112 ask of a server about each request and Hummingbird leaves open: one `Host`, `100 Continue`, an end where the
/// client wants one, and a word to those whose request could not be read.
///
/// It sits right behind the decoder and sees requests and answers as they are on the wire. What it refuses it makes a parser error, which
/// Hummingbird answers when the answers before it are out; that bare 400 is then put into words here.
final class RequestGuard: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Trouble { case header, host, other }

    private let pace: RequestPaceHandler
    /// Requests whose answer has not ended.
    private var unanswered = 0
    /// The last of them waits for `100 Continue` before it sends its body.
    private var isContinueAwaited = false
    /// Why nothing more is read.
    private var broken: Trouble?

    init(_ pace: RequestPaceHandler) { self.pace = pace }

    // MARK: - From the client

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if self.broken != nil { return }
        switch self.unwrapInboundIn(data) {
        case .head(let head): self.begin(head, context)
        case .body: context.fireChannelRead(data)
        case .end:
            self.pace.requestEnded()
            context.fireChannelRead(data)
        }
    }

    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        self.pace.headEnded()
        let hosts = head.headers["host"].count
        // RFC 9112 §3.2: exactly one, except from clients older than it. A cache between would else read another address than this box.
        guard hosts == 1 || (hosts == 0 && head.version == .http1_0) else {
            self.broken = .host
            return context.fireErrorCaught(HTTPParserError.invalidHeaderToken)
        }
        self.unanswered += 1
        if head.version == .http1_1, head.headers["expect"].contains(where: { $0.lowercased() == "100-continue" }) {
            self.isContinueAwaited = true
            self.continueIfAwaited(context)
        }
        var head = head
        // Hummingbird knows this one spelling, and not that older clients want the end unless they say otherwise.
        if !head.isKeepAlive { head.headers.replaceOrAdd(name: "connection", value: "close") }
        context.fireChannelRead(self.wrapInboundOut(.head(head)))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? HTTPParserError, self.broken == nil { self.broken = error == .headerOverflow ? .header : .other }
        context.fireErrorCaught(error)
    }

    // MARK: - To the client

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch self.unwrapOutboundIn(data) {
        case .head(let head):
            if let broken = self.broken, head.status == .badRequest, head.headers["content-length"] == ["0"] {
                self.explain(broken, context, promise)
            } else {
                context.write(data, promise: promise)
            }
        case .body: context.write(data, promise: promise)
        case .end:
            context.write(data, promise: promise)
            self.unanswered -= 1
            self.continueIfAwaited(context)
        }
    }

    /// Once the answers before it are out, a request may be told to send its body.
    private func continueIfAwaited(_ context: ChannelHandlerContext) {
        guard self.isContinueAwaited, self.unanswered == 1 else { return }
        self.isContinueAwaited = false
        context.writeAndFlush(self.wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
    }

    private func explain(_ broken: Trouble, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        let (status, detail): (HTTPResponseStatus, String) =
            switch broken {
            case .header: (.requestHeaderFieldsTooLarge, "The header of this request is larger than this box accepts.")
            case .host: (.badRequest, "A request has one Host header.")
            case .other: (.badRequest, "The request breaks the rules of RFC 9112.")
            }
        let body = JSONWriter.make {
            $0.field("type", "about:blank")
            $0.field("code", ErrorCode.badRequest.rawValue)
            $0.field("status", Int(status.code))
            $0.field("title", ErrorCode.badRequest.title)
            $0.field("detail", detail)
            $0.field("temporary", false)
        }
        let headers: HTTPHeaders = [
            "connection": "close", "content-type": "application/problem+json", "content-length": "\(body.readableBytes)", "cache-control": "no-store",
        ]
        context.write(self.wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))), promise: nil)
        context.write(self.wrapOutboundOut(.body(.byteBuffer(body))), promise: promise)
    }
}

@available(*, unavailable)
extension RequestGuard: Sendable {}
