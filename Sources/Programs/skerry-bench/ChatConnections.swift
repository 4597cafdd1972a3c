import NIOCore

/// Chat clients of several people, connected and greeted; all of it lives on `loop`.
enum ChatConnections {
    /// A WebSocket that has said hello, with the person's direct conversation to `peer` looked up when there is one.
    static func connect(
        _ person: MeasuredBox.Person, peer: String?, port: Int, on loop: any EventLoop, prefix: String
    ) -> EventLoopFuture<NIOLoopBound<ChatSender>> {
        let opened = loop.makePromise(of: Void.self)
        let socket = NIOLoopBound(WebSocketClient(host: "127.0.0.1:\(port)", opened: opened), eventLoop: loop)
        let connected = Connecting.open(port: port, from: person.address, on: loop) { socket.value }
        connected.whenFailure { opened.fail($0) }
        return opened.futureResult.flatMap {
            let greeter = ChatSender(socket.value, loop: loop, conversation: "", prefix: prefix)
            let bound = NIOLoopBound(greeter, eventLoop: loop)
            return greeter.request("{\"t\":\"hello\",\"id\":0,\"d\":{\"token\":\"\(person.token)\"}}").flatMap { answer in
                Self.check(answer, loop).flatMap { _ in
                    guard let peer else { return loop.makeSucceededFuture(bound) }
                    let create = "{\"t\":\"create\",\"id\":0,\"d\":{\"type\":\"direct\",\"user\":\"@\(peer)\"}}"
                    return bound.value.request(create).flatMap { answer in Self.check(answer, loop) }.flatMapThrowing { text in
                        let id = try JSONText.string("id", in: text.dropFirst(6))
                        return NIOLoopBound(ChatSender(socket.value, loop: loop, conversation: id, prefix: prefix), eventLoop: loop)
                    }
                }
            }
        }
    }

    private static func check(_ answer: ByteBuffer, _ loop: any EventLoop) -> EventLoopFuture<String> {
        let text = String(buffer: answer)
        return text.contains("\"error\"") ? loop.makeFailedFuture(BenchError("the box refused: \(text.prefix(300))")) : loop.makeSucceededFuture(text)
    }
}
