import NIOCore

/// One chat client that sends, waits for the acknowledgement, and sends again.
final class ChatSender {
    private let socket: WebSocketClient
    private let loop: any EventLoop
    private let conversation: String
    private let prefix: String
    private var number = 0
    private var sentAt: UInt64 = 0
    private var isRunning = false
    /// Whether each message says when it was sent, for whoever reads it.
    private var isTimed = false
    private var waiting: EventLoopPromise<ByteBuffer>?
    /// Nanoseconds from send to acknowledgement, of every message of this run.
    private(set) var latencies: [Double] = []
    private(set) var failure: String?

    init(_ socket: WebSocketClient, loop: any EventLoop, conversation: String, prefix: String) {
        self.socket = socket
        self.loop = loop
        self.conversation = conversation
        self.prefix = prefix
        // The connection keeps its sender: an optimised program lets go of what nobody mentions again, even while its socket is open.
        socket.onText = { [self] in self.received($0) }
        socket.onClose = { [self] in
            self.failure = self.failure ?? "the box closed a connection"
            self.waiting?.fail(BenchError("the box closed a connection"))
            self.waiting = nil
        }
    }

    /// For a client that only stays: nothing is sent or read any more, and whoever closes is no failure.
    func keepWithConnection() {
        self.socket.onText = { _ in }
        self.socket.onClose = {}
    }

    /// Sends a request and gives its answer.
    func request(_ text: String) -> EventLoopFuture<ByteBuffer> {
        let promise = self.loop.makePromise(of: ByteBuffer.self)
        self.waiting = promise
        self.socket.send(ByteBuffer(string: text))
        return promise.futureResult
    }

    func start() {
        self.latencies.removeAll(keepingCapacity: true)
        self.isRunning = true
        self.sendNext()
    }

    /// As `start`; each message carries the time, behind an `@`.
    func startTimed() {
        self.isTimed = true
        self.start()
    }

    /// The message under way is still acknowledged, but not counted.
    func stop() { self.isRunning = false }

    /// One message; the future succeeds with its acknowledgement.
    func sendOnce() -> EventLoopFuture<ByteBuffer> {
        self.number += 1
        return self.request(self.message())
    }

    private func sendNext() {
        self.number += 1
        self.sentAt = Clock.nanoseconds()
        self.socket.send(ByteBuffer(string: self.message()))
    }

    private func message() -> String {
        """
        {"t":"send","id":\(self.number),"d":{"conv":"\(self.conversation)","cid":"\(self.prefix)-\(self.number)","kind":"text",\
        "text":"a message as long as people write them, more or less: \(self.number)\(self.isTimed ? " @\(self.sentAt)" : "")"}}
        """
    }

    private func received(_ frame: ByteBuffer) {
        // Answers begin with their id; pushes, one's own message among them, begin with `t`.
        guard frame.readableBytesView.starts(with: Self.answer) else { return }
        if let waiting = self.waiting {
            self.waiting = nil
            waiting.succeed(frame)
            return
        }
        guard self.isRunning else { return }
        if Self.isError(frame) {
            self.failure = String(buffer: frame)
            self.isRunning = false
            return
        }
        self.latencies.append(Double(Clock.nanoseconds() - self.sentAt))
        self.sendNext()
    }

    private static let answer = Array("{\"id\":".utf8)
    private static let error = Array(",\"error\"".utf8)

    /// Looks behind the id only: whole answers are not read, they would cost more than the box.
    private static func isError(_ frame: ByteBuffer) -> Bool {
        let view = frame.readableBytesView
        guard let comma = view.firstIndex(of: UInt8(ascii: ",")) else { return true }
        return view[comma...].starts(with: Self.error)
    }
}

@available(*, unavailable)
extension ChatSender: Sendable {}
