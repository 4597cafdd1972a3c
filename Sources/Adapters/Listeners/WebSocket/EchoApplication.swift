package import NIOCore

/// Sends every message back: what conformance suites talk to.
package final class EchoApplication: WebSocketApplication {
    package init() {}

    package func opened(_ connection: WebSocketConnection) {}
    package func received(_ message: WebSocketMessage, on connection: WebSocketConnection) { connection.send(message) }
    package func drained(_ connection: WebSocketConnection) {}
    package func secondPassed(_ now: NIODeadline, on connection: WebSocketConnection) {}
    package func shouldQuiesce(_ connection: WebSocketConnection) { connection.close(.goingAway) }
    package func closed(_ connection: WebSocketConnection) {}
}
