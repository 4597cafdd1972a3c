import MQTTCodec
import NIOCore
import Replication
import SkerryModel
import SkerryNode
import Synchronization

/// The link of a connected box, for callers on any thread: what they send waits here for the connection's loop.
final class BoxDoorLink: BoxLink {
    /// What the connection finds.
    struct Work {
        var messages: [LinkMessage] = []
        var droppedBytes = 0
        var dropped = 0
    }

    private struct State {
        /// Nil after the end: then nothing is kept.
        var outbox: LinkOutbox?
        var droppedBytes = 0
        var dropped = 0
        var isCalled = false
    }

    let box: BoxID
    private let loop: any EventLoop
    private let handler: NIOLoopBoundBox<BoxConnectionHandler?>
    private let state: Mutex<State>

    /// On the connection's loop.
    init(_ box: BoxID, _ handler: BoxConnectionHandler, loop: any EventLoop, outbox: LinkOutbox) {
        self.box = box
        self.loop = loop
        self.handler = NIOLoopBoundBox(handler, eventLoop: loop)
        self.state = Mutex(State(outbox: outbox))
    }

    func send(_ message: LinkMessage) {
        let calls = self.state.withLock { state in
            switch state.outbox?.add(message) {
            case nil: return false
            case .kept: break
            case .dropped:
                state.dropped += 1
                state.droppedBytes += message.payload.count
            }
            defer { state.isCalled = true }
            return !state.isCalled
        }
        if calls { self.enter { $0.sendWaiting() } }
    }

    func close(_ reason: String) { self.enter { $0.end(.administrativeAction, reason) } }
    func takeOver() { self.enter { $0.end(.sessionTakenOver, "The box connected again.") } }

    private func enter(_ body: @escaping @Sendable (BoxConnectionHandler) -> Void) {
        self.loop.execute { if let handler = self.handler.value { body(handler) } }
    }

    /// Called on the connection's loop, whoever took the message.
    func taken(_ place: UInt64) { self.enter { $0.taken(place) } }

    // MARK: - The connection's side

    func work(bytesMax: Int) -> Work {
        self.state.withLock { state in
            var work = Work(droppedBytes: state.droppedBytes, dropped: state.dropped)
            state.droppedBytes = 0
            state.dropped = 0
            state.isCalled = false
            var bytes = 0
            while bytes < bytesMax, let message = state.outbox?.next() {
                bytes += message.payload.count
                work.messages.append(message)
            }
            return work
        }
    }

    func done(_ bytes: Int, qos: UInt8) { self.state.withLock { $0.outbox?.done(bytes, qos: qos) } }

    /// The connection has ended.
    func detach() {
        self.handler.value = nil
        self.state.withLock { $0 = State(outbox: nil) }
    }
}
