import CZlib
import NIOCore

/// Compresses the messages of one connection (RFC 7692 §7.2.1). Without context takeover it holds memory only during a call.
final class Deflater {
    /// Shorter messages gain nothing.
    private static let bytesMin = 64
    private let forgets: Bool
    private let windowBits: Int32
    private var stream: UnsafeMutablePointer<z_stream>?

    init(_ agreement: DeflateAgreement) {
        self.forgets = agreement.serverForgets
        self.windowBits = Int32(agreement.serverWindowBits)
    }

    deinit { self.release() }

    /// The compressed payload of a frame with RSV1; nil: send it as it is, which is always allowed.
    func deflate(_ payload: ByteBuffer) -> ByteBuffer? {
        guard payload.readableBytes >= Self.bytesMin, let stream = self.start() else { return nil }
        defer { if self.forgets { self.release() } }
        var output = ByteBuffer()
        output.reserveCapacity(payload.readableBytes / 2 + 64)
        let isDone = payload.withUnsafeReadableBytes { input -> Bool in
            // zlib's interface takes a mutable pointer; it does not write to its input.
            stream.pointee.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
            stream.pointee.avail_in = UInt32(input.count)
            defer {
                stream.pointee.next_in = nil
                stream.pointee.avail_in = 0
            }
            while true {
                var status = Z_OK
                output.writeWithUnsafeMutableBytes(minimumWritableBytes: 4096) { space in
                    let room = min(space.count, 1 << 20)
                    stream.pointee.next_out = space.bindMemory(to: UInt8.self).baseAddress
                    stream.pointee.avail_out = UInt32(room)
                    status = CZlib.deflate(stream, Z_SYNC_FLUSH)
                    return room - Int(stream.pointee.avail_out)
                }
                guard status == Z_OK || status == Z_BUF_ERROR else { return false }
                if stream.pointee.avail_out > 0 { return stream.pointee.avail_in == 0 }
            }
        }
        // A failed stream is not used again; the next message starts a new one, which refers to nothing sent before.
        guard isDone, output.readableBytes >= 4 else {
            self.release()
            return nil
        }
        output.moveWriterIndex(to: output.writerIndex - 4)
        return output
    }

    private func start() -> UnsafeMutablePointer<z_stream>? {
        if let stream = self.stream { return stream }
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // Memory level 6 of 9: a fourth of the memory of the default for a few percent of size.
        guard skerry_deflate_init(stream, 5, -self.windowBits, 6) == Z_OK else {
            stream.deallocate()
            return nil
        }
        self.stream = stream
        return stream
    }

    private func release() {
        guard let stream = self.stream else { return }
        deflateEnd(stream)
        stream.deallocate()
        self.stream = nil
    }
}
