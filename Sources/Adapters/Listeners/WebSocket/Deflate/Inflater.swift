import CZlib
import NIOCore

/// Decompresses the messages of one connection (RFC 7692 §7.2.2).
///
/// Without context takeover it holds memory only while a compressed message is being received.
final class Inflater {
    enum Outcome { case done, tooMuch, damaged }

    /// Bytes one call may give when the reader takes pieces.
    static let pieceBytesMax = 1 << 20
    private static let stepBytes = 16 * 1024
    private let forgets: Bool
    private let windowBits: Int32
    private var stream: UnsafeMutablePointer<z_stream>?

    init(_ agreement: DeflateAgreement) {
        self.forgets = agreement.clientForgets
        self.windowBits = Int32(agreement.clientWindowBits)
    }

    deinit { self.release() }

    /// Appends what `compressed` unpacks to, as long as `output` stays within `bytesMax`: a small frame may unpack to a thousand times its size.
    func inflate(_ compressed: ByteBuffer, isLast: Bool, into output: inout ByteBuffer, bytesMax: Int) -> Outcome {
        guard let stream = self.start() else { return .damaged }
        var outcome = self.run(stream, compressed, into: &output, bytesMax: bytesMax)
        if isLast, outcome == .done {
            // The sender cut this end off each message (RFC 7692 §7.2.1).
            outcome = self.run(stream, ByteBuffer(bytes: [0x00, 0x00, 0xFF, 0xFF]), into: &output, bytesMax: bytesMax)
        }
        if outcome != .done || (isLast && self.forgets) { self.release() }
        return outcome
    }

    private func start() -> UnsafeMutablePointer<z_stream>? {
        if let stream = self.stream { return stream }
        // zlib keeps a pointer back to the stream, so it must not move.
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        guard skerry_inflate_init(stream, -self.windowBits) == Z_OK else {
            stream.deallocate()
            return nil
        }
        self.stream = stream
        return stream
    }

    private func release() {
        guard let stream = self.stream else { return }
        inflateEnd(stream)
        stream.deallocate()
        self.stream = nil
    }

    private func run(_ stream: UnsafeMutablePointer<z_stream>, _ compressed: ByteBuffer, into output: inout ByteBuffer, bytesMax: Int) -> Outcome {
        compressed.withUnsafeReadableBytes { input -> Outcome in
            // zlib's interface takes a mutable pointer; it does not write to its input.
            stream.pointee.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
            stream.pointee.avail_in = UInt32(input.count)
            defer {
                stream.pointee.next_in = nil
                stream.pointee.avail_in = 0
            }
            while true {
                // One byte more than allowed is enough to know that it is too much.
                let room = min(Self.stepBytes, bytesMax + 1 - output.readableBytes)
                if room <= 0 { return .tooMuch }
                var status = Z_OK
                output.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { space in
                    stream.pointee.next_out = space.bindMemory(to: UInt8.self).baseAddress
                    stream.pointee.avail_out = UInt32(room)
                    status = CZlib.inflate(stream, Z_SYNC_FLUSH)
                    return room - Int(stream.pointee.avail_out)
                }
                let isFull = stream.pointee.avail_out == 0
                switch status {
                case Z_STREAM_END:
                    // A final block inside a message is allowed; what follows begins anew (RFC 7692 §7.2.3.5).
                    guard inflateReset(stream) == Z_OK else { return .damaged }
                    if stream.pointee.avail_in == 0 { return output.readableBytes > bytesMax ? .tooMuch : .done }
                case Z_OK:
                    if stream.pointee.avail_in == 0, !isFull { return output.readableBytes > bytesMax ? .tooMuch : .done }
                case Z_BUF_ERROR:
                    // Nothing to do: all input is used and all output given.
                    return stream.pointee.avail_in == 0 ? .done : .damaged
                default: return .damaged
                }
            }
        }
    }
}
