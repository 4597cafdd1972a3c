import NIOCore

@testable import Listeners

/// Frames as a client writes them, right and wrong ones.
struct ClientFrame: Sendable, CustomStringConvertible {
    var first: UInt8
    var payload: [UInt8]
    var mask: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D]
    /// Another way to write the length than the shortest.
    var lengthBytes: [UInt8]?

    init(_ first: UInt8, _ payload: [UInt8] = [], mask: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D], lengthBytes: [UInt8]? = nil) {
        self.first = first
        self.payload = payload
        self.mask = mask
        self.lengthBytes = lengthBytes
    }

    static func text(_ text: String, isFinal: Bool = true) -> ClientFrame { ClientFrame(isFinal ? 0x81 : 0x01, Array(text.utf8)) }
    static func binary(_ bytes: [UInt8], isFinal: Bool = true) -> ClientFrame { ClientFrame(isFinal ? 0x82 : 0x02, bytes) }
    static func more(_ bytes: [UInt8], isFinal: Bool) -> ClientFrame { ClientFrame(isFinal ? 0x80 : 0x00, bytes) }
    static func ping(_ bytes: [UInt8] = []) -> ClientFrame { ClientFrame(0x89, bytes) }
    static func pong(_ bytes: [UInt8] = []) -> ClientFrame { ClientFrame(0x8A, bytes) }
    static func close(_ code: UInt16? = nil, _ reason: [UInt8] = []) -> ClientFrame {
        ClientFrame(0x88, (code.map { [UInt8($0 >> 8), UInt8($0 & 0xFF)] } ?? []) + reason)
    }

    var bytes: [UInt8] {
        var bytes = [self.first]
        let maskBit: UInt8 = self.mask == nil ? 0 : 0x80
        if let written = self.lengthBytes, let lead = written.first {
            bytes += [lead | maskBit] + written.dropFirst()
        } else if self.payload.count < 126 {
            bytes.append(UInt8(self.payload.count) | maskBit)
        } else if self.payload.count < 65_536 {
            bytes += [126 | maskBit, UInt8(self.payload.count >> 8), UInt8(self.payload.count & 0xFF)]
        } else {
            bytes.append(127 | maskBit)
            for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: self.payload.count >> shift)) }
        }
        guard let mask = self.mask else { return bytes + self.payload }
        return bytes + mask + self.payload.enumerated().map { $0.element ^ mask[$0.offset & 3] }
    }

    var description: String { "first \(String(self.first, radix: 16)), \(self.payload.count) bytes" }
}

extension [ClientFrame] {
    var bytes: [UInt8] { self.flatMap(\.bytes) }
}

/// What the machine makes of bytes that come in the given pieces.
func events(
    _ pieces: [[UInt8]], delivery: WebSocketMachine.Delivery = .messages(bytesMax: 1 << 20), deflate: DeflateAgreement? = nil
) -> [WebSocketEvent] {
    var machine = WebSocketMachine(delivery: delivery, deflate: deflate)
    var events: [WebSocketEvent] = []
    for piece in pieces {
        var bytes = ByteBuffer(bytes: piece)
        while let event = machine.receive(&bytes) { events.append(event) }
        if bytes.readableBytes != 0 { return events + [.violation(WebSocketViolation(code: .internalError, reason: "bytes were left"))] }
    }
    return events
}

extension WebSocketEvent {
    var violationCode: UInt16? {
        if case .violation(let violation) = self { violation.code.rawValue } else { nil }
    }
}

/// One frame as the server wrote it.
struct ServerFrame: Hashable {
    var first: UInt8
    var payload: [UInt8]

    var text: String { String(decoding: self.payload, as: UTF8.self) }
    var closeCode: Int? { self.first == 0x88 && self.payload.count >= 2 ? Int(self.payload[0]) << 8 | Int(self.payload[1]) : nil }

    /// All whole frames at the front of `bytes`, which must be unmasked.
    static func read(_ bytes: inout ByteBuffer) -> [ServerFrame] {
        var frames: [ServerFrame] = []
        while true {
            var copy = bytes
            guard let first: UInt8 = copy.readInteger(), let short: UInt8 = copy.readInteger(), short < 128 else { return frames }
            var length = Int(short)
            if short == 126 {
                guard let word: UInt16 = copy.readInteger() else { return frames }
                length = Int(word)
            } else if short == 127 {
                guard let word: UInt64 = copy.readInteger() else { return frames }
                length = Int(word)
            }
            guard let payload = copy.readBytes(length: length) else { return frames }
            frames.append(ServerFrame(first: first, payload: payload))
            bytes = copy
        }
    }
}
