import NIOCore
import NIOPosix
import NIOSSL
import Replication
import SkerryModel
import SkerryNode
import TestKit
import Testing

@testable import Federation

/// What strangers may do at the pairing port.
@Suite(.timeLimit(.minutes(2))) struct PairingPortTests {
    /// A TLS connection that sends these bytes; returns what came back until the end.
    private static func talk(_ port: Int, _ pieces: [[UInt8]]) async throws -> [UInt8] {
        let channel = try await Self.connect(port)
        return try await channel.executeThenClose { inbound, outbound in
            var all: [UInt8] = []
            do {
                for piece in pieces { try await outbound.write(ByteBuffer(bytes: piece)) }
                for try await bytes in inbound { all += Array(bytes.readableBytesView) }
            } catch is NIOSSLError {} catch is IOError {} catch is ChannelError {}
            return all
        }
    }

    private static func connect(_ port: Int) async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        configuration.applicationProtocols = [PairingMessage.alpn]
        let context = try NIOSSLContext(configuration: configuration)
        return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil))
                return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
    }

    private static func message(_ bytes: [UInt8]) throws -> PairingMessage? {
        var buffer = ByteBuffer(bytes: bytes)
        return try PairingFrames.next(&buffer).map { try PairingMessage($0) }
    }

    private static func frame(_ bytes: [UInt8]) -> [UInt8] {
        var buffer = ByteBuffer()
        buffer.writeInteger(UInt32(bytes.count))
        buffer.writeBytes(bytes)
        return Array(buffer.readableBytesView)
    }

    private static func box(_ limits: PairingPort.Limits = PairingPort.Limits()) async throws -> (PairingBox, Int) {
        let box = try await PairingBox("attic")
        box.place(["127.0.0.1:1"])
        _ = try await box.membership.invite(waits: false)
        return (box, try await box.listen(limits: limits))
    }

    @Test("a frame that says it is longer than may be is refused before it comes, noise and other messages too")
    func malformed() async throws {
        let (box, port) = try await Self.box()
        let cases: [[[UInt8]]] = [
            [[0xFF, 0xFF, 0xFF, 0xFF]], [[0, 0, 0x80, 1]], [Self.frame([1, 2, 3])], [Self.frame([])],
            [Self.frame(PairingMessage.wait(name: "", words: "").bytes)], [Self.frame(PairingMessage.refusal(.busy).bytes)],
            [[0, 0], [0, 4], [8], [1], [8, 1]],
        ]
        for pieces in cases { #expect(try Self.message(try await Self.talk(port, pieces)) == .refusal(.malformed)) }
        #expect(box.metrics.value(.pairingsRefused) == cases.count)
        try await box.close()
    }

    @Test("a hello in small pieces is heard; another version of it is told so")
    func version() async throws {
        let (box, port) = try await Self.box()
        var hello = PairingHello(
            protocolVersion: 2, token: [UInt8](repeating: 0, count: 8), request: [1], logKey: [UInt8](repeating: 0, count: 32), name: "", endpoints: [],
            software: "9", nonce: [UInt8](repeating: 0, count: 32))
        (hello.logProof, hello.mac) = ([1], [1])
        let bytes = Self.frame(PairingMessage.hello(hello).bytes)
        #expect(try Self.message(try await Self.talk(port, bytes.map { [$0] })) == .refusal(.version))
        hello.protocolVersion = 1
        #expect(try Self.message(try await Self.talk(port, [Self.frame(PairingMessage.hello(hello).bytes)])) == .refusal(.unknownToken))
        try await box.close()
    }

    @Test("who connects and says nothing is let go")
    func silent() async throws {
        var limits = PairingPort.Limits()
        limits.secondsMax = 1
        let (box, port) = try await Self.box(limits)
        #expect(try await Self.talk(port, [[0, 0]]).isEmpty)
        try await box.close()
    }

    @Test("no more connections than the limit are open, and one that ends makes room")
    func crowd() async throws {
        var limits = PairingPort.Limits()
        limits.connectionsMax = 2
        let (box, port) = try await Self.box(limits)
        let (one, two) = (try await Self.connect(port), try await Self.connect(port))
        try await one.executeThenClose { _, outbound in
            try await outbound.write(ByteBuffer(bytes: [0]))
            try await two.executeThenClose { _, outbound in
                try await outbound.write(ByteBuffer(bytes: [0]))
                // The server has accepted both only when it has closed a third.
                try await eventually { (try? await Self.talk(port, [[0, 0, 0, 0]])) == nil || box.metrics.value(.pairingsRefused) > 0 }
            }
        }
        #expect(box.metrics.value(.pairingsRefused) >= 1)
        try await eventually { ((try? await Self.talk(port, [Self.frame([])])) ?? []).isEmpty == false }
        try await box.close()
    }
}
