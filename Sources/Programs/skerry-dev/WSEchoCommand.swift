import ArgumentParser
import Listeners
import NIOCore
import NIOPosix

/// `skerry-dev ws-echo`: an echo server on the WebSocket stack of the box, for the Autobahn test suite and its like.
struct WSEchoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ws-echo",
        abstract: "Echo WebSocket messages on 127.0.0.1, on the very stack a box uses.",
        discussion: "Point a conformance suite at ws://127.0.0.1:PORT/. Ends with Control-C.")

    @Option(help: "The port; 0 takes a free one.")
    var port = 9001

    @Option(help: "Bytes of the longest message; a longer one closes with 1009.")
    var messageBytesMax = 64 << 20

    @Flag(help: "Agree to permessage-deflate (RFC 7692).")
    var compression = false

    func validate() throws {
        guard (0...65_535).contains(self.port) else { throw ValidationError("--port is 0 to 65535.") }
        guard self.messageBytesMax > 0 else { throw ValidationError("--message-bytes-max is at least 1.") }
    }

    func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loops = group.makeIterator().map { $0 }
        let listener = try await EchoListener.bind(
            port: self.port, messageBytesMax: self.messageBytesMax, compresses: self.compression, loops: loops, group: group)
        print("ws-echo listens on ws://127.0.0.1:\(listener.port)/\(self.compression ? " with permessage-deflate" : "")")
        // A script that waits for this line reads from a pipe.
        fflush(nil)
        while !Task.isCancelled { try await Task.sleep(for: .seconds(3600)) }
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif
